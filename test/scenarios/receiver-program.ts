// The other end of every connection under test: a program of its own, on plain sockets. It reads,
// stalls, dawdles, resets, half-closes or echoes as each stream asks, and checks every byte.
// Usage: node receiver-program.js. Writes {"port":N} when it listens. A connection begins with one line
// of JSON: a StreamSpec, behind which the keystream follows, or `{"control":true}`, behind which lines of
// ControlRequest go one way and lines of ControlReply the other.
import net from 'node:net';
import { createInterface } from 'node:readline';
import { countWrong } from '../../scripts/pattern';

/** A stream, and what the receiver does with it. Offsets count the bytes behind the first line. */
export interface StreamSpec {
  /** Chooses the keystream and names the stream in control requests. */
  readonly stream: number;
  /** Stops reading from this offset on, until `resume` or `pace`. */
  readonly stallAfter?: number;
  /** Resets the connection at this offset. */
  readonly resetAfter?: number;
  /** Closes it at this offset, with unread data or without. */
  readonly closeAfter?: number;
  /** Ends its own direction at this offset, and reads on. */
  readonly endAfter?: number;
  /** Reads this slowly from the start. */
  readonly pace?: Pace;
  /**
   * Sends a byte at the end of the stream, which tells a FIN from a reset: libuv takes a reset that
   * comes with the last data for an end (deps/uv/src/unix/stream.c:uv__stream_io).
   */
  readonly answer?: boolean;
  /** Sends everything back. */
  readonly echo?: boolean;
}

export interface Pace {
  readonly bytes: number;
  readonly everyMs: number;
}

/** What one stream brought. */
export interface StreamReport {
  readonly bytes: number;
  /** Bytes that are not the keystream's. */
  readonly wrong: number;
  /** Whether the sender ended it, else the code of the error or 'closed'. */
  readonly end: string;
}

export type ControlRequest =
  | { readonly do: 'report'; readonly stream: number }
  | { readonly do: 'received'; readonly stream: number }
  | { readonly do: 'resume'; readonly stream: number }
  | { readonly do: 'pace'; readonly stream: number; readonly pace: Pace }
  | { readonly do: 'say'; readonly stream: number; readonly bytes: number }
  | { readonly do: 'dial'; readonly host: string; readonly port: number; readonly count: number };

export interface ControlReply {
  readonly id: number;
  readonly report?: StreamReport;
  readonly received?: number;
}

class Stream {
  bytes = 0;
  #wrong = 0;
  #end = 'closed';
  #stalled = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    readonly socket: net.Socket,
    readonly spec: StreamSpec,
  ) {
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('end', () => {
      this.#end = 'end';
      if (spec.answer === true) socket.write('x');
      socket.end();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => (this.#end = error.code ?? 'error'));
    socket.on('close', () => {
      clearInterval(this.#timer);
      settleReport(spec.stream, this.report());
    });
    if (spec.pace !== undefined) this.pace(spec.pace);
    if (spec.stallAfter === 0) this.#stall();
  }

  report(): StreamReport {
    return { bytes: this.bytes, wrong: this.#wrong, end: this.#end };
  }

  resume(): void {
    clearInterval(this.#timer);
    this.#stalled = true;
    this.socket.resume();
  }

  // read() emits 'data', and 'end' behind the last of it.
  pace({ bytes, everyMs }: Pace): void {
    this.#stalled = true;
    this.socket.pause();
    clearInterval(this.#timer);
    this.#timer = setInterval(() => {
      const ready = this.socket.readableLength;
      this.socket.read(ready > bytes ? bytes : undefined);
    }, everyMs);
  }

  #stall(): void {
    this.#stalled = true;
    this.socket.pause();
  }

  #take(chunk: Buffer): void {
    const { stream, stallAfter, resetAfter, closeAfter, endAfter, echo } = this.spec;
    this.#wrong += countWrong(chunk, stream, this.bytes);
    this.bytes += chunk.length;
    if (echo === true && !this.socket.write(chunk)) {
      this.socket.pause();
      this.socket.once('drain', () => this.socket.resume());
    }
    const reached = (offset: number | undefined): boolean =>
      offset !== undefined && this.bytes >= offset;
    if (!this.#stalled && reached(stallAfter)) this.#stall();
    if (reached(endAfter)) this.socket.end();
    if (reached(resetAfter)) this.socket.resetAndDestroy();
    else if (reached(closeAfter)) this.socket.destroy();
  }
}

const streams = new Map<number, Stream>();
const reports = new Map<number, StreamReport>();
const waiting = new Map<number, (report: StreamReport) => void>();

function settleReport(stream: number, report: StreamReport): void {
  streams.delete(stream);
  const waiter = waiting.get(stream);
  waiting.delete(stream);
  if (waiter === undefined) reports.set(stream, report);
  else waiter(report);
}

/** Streams that ever began, and what was asked about others. */
const begun = new Set<number>();
const earlyRequests = new Map<number, (() => void)[]>();

function begin(socket: net.Socket, spec: StreamSpec): void {
  streams.set(spec.stream, new Stream(socket, spec));
  begun.add(spec.stream);
  for (const early of earlyRequests.get(spec.stream) ?? []) early();
  earlyRequests.delete(spec.stream);
}

type Numbered = ControlRequest & { readonly id: number };
type StreamRequest = Exclude<Numbered, { readonly do: 'dial' }>;
type Reply = (line: ControlReply) => void;

function answerStream(request: StreamRequest, reply: Reply): void {
  const { id } = request;
  const stream = streams.get(request.stream);
  if (request.do === 'report') {
    const known = reports.get(request.stream);
    reports.delete(request.stream);
    if (known !== undefined) return reply({ id, report: known });
    return void waiting.set(request.stream, (report) => reply({ id, report }));
  }
  if (request.do === 'resume') stream?.resume();
  if (request.do === 'pace') stream?.pace(request.pace);
  if (request.do === 'say') stream?.socket.write(Buffer.alloc(request.bytes));
  reply({ id, received: stream?.bytes ?? 0 });
}

function answerControl(socket: net.Socket): void {
  const reply: Reply = (line) => void socket.write(`${JSON.stringify(line)}\n`);
  // A test that failed may leave its control connection in any state.
  socket.on('error', () => socket.destroy());
  createInterface({ input: socket }).on('line', (line) => {
    const request = JSON.parse(line) as Numbered;
    if (request.do === 'dial') {
      for (let i = 0; i < request.count; i++) receive(net.connect(request.port, request.host));
      return reply({ id: request.id });
    }
    // A control connection may be quicker than the stream it speaks of.
    const early = earlyRequests.get(request.stream) ?? [];
    if (begun.has(request.stream)) answerStream(request, reply);
    else earlyRequests.set(request.stream, [...early, () => answerStream(request, reply)]);
  });
}

// Reads the first line; what comes behind it in the same read goes back for its proper reader.
function receive(socket: net.Socket): void {
  let head = Buffer.alloc(0);
  const early = (): void => void socket.destroy();
  socket.on('error', early);
  const onData = (chunk: Buffer): void => {
    head = Buffer.concat([head, chunk]);
    const at = head.indexOf('\n');
    if (at < 0) return;
    socket.off('data', onData);
    socket.off('error', early);
    socket.pause();
    if (head.length > at + 1) socket.unshift(head.subarray(at + 1));
    const first = JSON.parse(head.toString('latin1', 0, at)) as StreamSpec | { control: true };
    if ('control' in first) answerControl(socket);
    else begin(socket, first);
    // After the new reader is in place; one that stalls or dawdles has its own way.
    if ('control' in first || (first.stallAfter !== 0 && first.pace === undefined)) socket.resume();
  };
  socket.on('data', onData);
}

const server = net.createServer({ allowHalfOpen: true }, receive);
server.listen(0, '::', 4096, () => {
  process.stdout.write(`${JSON.stringify({ port: (server.address() as net.AddressInfo).port })}\n`);
});
