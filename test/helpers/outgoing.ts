// A stream under test: writes the keystream, overwrites every buffer the moment it is released,
// whether with an error or without, and counts what was written and released.
import type net from 'node:net';
import type { ZeroCopyMembers } from '../../lib/index';
import { fillFrom, OVERWRITTEN } from '../../scripts/pattern';

const ENCODINGS = ['latin1', 'utf8', 'hex', 'base64'] as const;

export class Outgoing {
  /** Bytes given to the socket so far, without the first line. */
  written = 0;
  /** Callbacks that fired, and the codes of the errors among them. */
  released = 0;
  readonly errors: string[] = [];
  /** Writes whose callback fired before that of an earlier write. */
  outOfOrder = 0;
  /** Code of the socket's error, if it had one. */
  socketError: string | undefined;
  /** Runs at every release, after its memory was overwritten. */
  onRelease: (() => void) | undefined;
  #writes = 0;
  #settled: (() => void)[] = [];
  readonly #free = new Map<number, Buffer[]>();
  readonly headBytes: number;

  constructor(
    readonly socket: net.Socket & ZeroCopyMembers,
    readonly stream: number,
    head: Buffer,
  ) {
    socket.on('error', (error: NodeJS.ErrnoException) => (this.socketError = error.code));
    // Data of the peer is none of these tests' business unless they say so.
    socket.resume();
    this.headBytes = head.length;
    socket.write(head);
  }

  /** Bytes that the kernel has taken, without the first line. Exact when every callback fired. */
  get accepted(): number {
    const { zeroCopyBytes, copiedBytes } = this.socket.zeroCopy.stats;
    return zeroCopyBytes + copiedBytes - this.headBytes;
  }

  /** Memory with the next bytes of the stream. It is used again as soon as it is released. */
  take(bytes: number): Buffer {
    const buffer = this.#free.get(bytes)?.pop() ?? Buffer.allocUnsafeSlow(bytes);
    fillFrom(buffer, this.stream, this.written);
    this.written += bytes;
    return buffer;
  }

  /** The callback that goes with `buffer`. */
  releaseCallback(buffer: Buffer): (error?: Error | null) => void {
    // An empty write has no memory to release: its callback fires when what is before it is accepted.
    if (buffer.length === 0) return () => {};
    const index = this.#writes++;
    return (error) => {
      buffer.fill(OVERWRITTEN);
      if (index !== this.released) this.outOfOrder++;
      this.released++;
      if (error) this.errors.push((error as NodeJS.ErrnoException).code ?? error.message);
      this.#giveBack(buffer);
      this.onRelease?.();
      if (this.released === this.#writes) for (const resolve of this.#settled.splice(0)) resolve();
    };
  }

  write(bytes: number): boolean {
    const buffer = this.take(bytes);
    return this.socket.write(buffer, this.releaseCallback(buffer));
  }

  /** The same bytes as a string, in an encoding that depends on where in the stream they are. */
  writeText(bytes: number): boolean {
    const encoding = ENCODINGS[this.written % ENCODINGS.length] as (typeof ENCODINGS)[number];
    const buffer = this.take(bytes);
    return this.socket.write(buffer.toString(encoding), encoding, this.releaseCallback(buffer));
  }

  /** Ends the stream with its last bytes. */
  end(bytes: number): void {
    const buffer = this.take(bytes);
    this.socket.end(buffer, this.releaseCallback(buffer));
  }

  /** Writes chunks of these sizes, waiting for 'drain' as a program should; stops when it closes. */
  async writeAll(sizes: Iterable<number>): Promise<void> {
    let index = 0;
    for (const bytes of sizes) {
      const text = index++ % 5 === 4 && bytes < 100_000;
      if (this.socket.destroyed) return;
      if (!(text ? this.writeText(bytes) : this.write(bytes))) await this.drained();
    }
  }

  /** Settles at 'drain', or when the socket closes. */
  drained(): Promise<void> {
    const { socket } = this;
    return new Promise((resolve) => {
      if (socket.destroyed || !socket.writableNeedDrain) return resolve();
      const done = (): void => {
        socket.off('drain', done).off('close', done);
        resolve();
      };
      socket.on('drain', done).on('close', done);
    });
  }

  /** Settles when every callback given so far has fired. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      if (this.released === this.#writes) resolve();
      else this.#settled.push(resolve);
    });
  }

  /** Settles when the socket is closed. */
  closed(): Promise<void> {
    return new Promise((resolve) => {
      if (this.socket.closed) resolve();
      else this.socket.once('close', () => resolve());
    });
  }

  #giveBack(buffer: Buffer): void {
    const list = this.#free.get(buffer.length);
    if (list === undefined) this.#free.set(buffer.length, [buffer]);
    else list.push(buffer);
  }
}
