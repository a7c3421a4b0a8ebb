// The least that runs for a zero-copy write from Node: what the package is measured against. No errors, no
// teardown, no limits, no callbacks of users; never for anything but the bench (bench/floor.c).
import net from 'node:net';

import { floorAddon } from '../native';

interface Addon {
  open(words: ArrayBuffer, onEvents: () => void, ring: boolean): void;
  attach(descriptor: number, slot: number): number;
  send(duplicate: number, header: Buffer | undefined, body: Uint8Array, skip: number): number;
  detach(duplicate: number): void;
  queue(descriptor: number, slot: number, header: Buffer | undefined, body: Uint8Array): void;
}

const EAGAIN = -11;
/** Sends of one connection whose memory is held at the most; the send buffer allows fewer. */
const places = 4096;
const wordsPerEvent = 4;
const [writable, released] = [0, 1];

type Callback = (error?: Error | null) => void;
type Chunks = readonly { chunk: Uint8Array | string; encoding: BufferEncoding }[];

/** One write: what http puts in front, and the body. */
interface Parts {
  header: Buffer | undefined;
  body: Uint8Array;
}

interface Connection {
  onEvent(kind: number, first: number, last: number): void;
}

/** Makes sockets send at the floor's cost, by MSG_ZEROCOPY or by the ring. */
export function openFloor(engine: 'msg_zerocopy' | 'io_uring'): (socket: net.Socket) => void {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const addon = require(floorAddon()) as Addon;
  const words = new Uint32Array(1 + 2048 * wordsPerEvent);
  const connections: Connection[] = [];
  const onEvents = (): void => {
    const end = 1 + (words[0] as number) * wordsPerEvent;
    for (let at = 1; at < end; at += wordsPerEvent) {
      const connection = connections[words[at] as number] as Connection;
      const kind = words[at + 1] as number;
      connection.onEvent(kind, words[at + 2] as number, words[at + 3] as number);
    }
  };
  addon.open(words.buffer, onEvents, engine === 'io_uring');
  return (socket) => {
    const slot = connections.length;
    connections.push(
      engine === 'io_uring'
        ? new ByRing(addon, socket, slot)
        : new ByErrorQueue(addon, socket, slot),
    );
  };
}

function descriptorOf(socket: net.Socket): number {
  return (socket as unknown as { _handle: { fd: number } })._handle.fd;
}

function partsOf(chunks: Chunks): Parts {
  const parts: Parts = { header: undefined, body: Buffer.alloc(0) };
  for (const { chunk, encoding } of chunks) {
    if (typeof chunk !== 'string') {
      if (parts.body.length > 0) parts.header = Buffer.from(parts.body);
      parts.body = chunk;
    } else if (chunk.length > 0) parts.header = Buffer.from(chunk, encoding);
  }
  return parts;
}

class ByErrorQueue implements Connection {
  readonly #addon: Addon;
  readonly #duplicate: number;
  readonly #held = new Array<Parts | Uint8Array | undefined>(places);
  #next = 0;
  #header: Buffer | undefined;
  #body: Uint8Array | undefined;
  #sent = 0;
  #callback: Callback | undefined;

  constructor(addon: Addon, socket: net.Socket, slot: number) {
    this.#addon = addon;
    this.#duplicate = addon.attach(descriptorOf(socket), slot);
    socket._write = (chunk: Uint8Array, _encoding, callback) =>
      this.#write(undefined, chunk, callback);
    socket._writev = (chunks, callback) => {
      const { header, body } = partsOf(chunks as Chunks);
      this.#write(header, body, callback);
    };
    socket.once('close', () => addon.detach(this.#duplicate));
  }

  #write(header: Buffer | undefined, body: Uint8Array, callback: Callback): void {
    this.#header = header;
    this.#body = body;
    this.#sent = 0;
    this.#callback = callback;
    this.#send();
  }

  #send(): void {
    const header = this.#header;
    const body = this.#body as Uint8Array;
    const length = body.length + (header === undefined ? 0 : header.length);
    while (this.#sent < length) {
      const sent = this.#addon.send(this.#duplicate, header, body, this.#sent);
      if (sent === EAGAIN) return;
      if (sent < 0) throw new Error(`the floor cannot send: errno ${-sent}`);
      this.#held[this.#next++ & (places - 1)] = header === undefined ? body : { header, body };
      this.#sent += sent;
    }
    const callback = this.#callback as Callback;
    this.#body = undefined;
    callback();
  }

  onEvent(kind: number, first: number, last: number): void {
    if (kind === released) {
      for (let id = first; id <= last; id++) this.#held[id & (places - 1)] = undefined;
    }
    if ((kind === released || kind === writable) && this.#body !== undefined) this.#send();
  }
}

class ByRing implements Connection {
  readonly #held: Parts[] = [];
  #callback: Callback | undefined;

  constructor(addon: Addon, socket: net.Socket, slot: number) {
    const descriptor = descriptorOf(socket);
    const write = (parts: Parts, callback: Callback): void => {
      this.#callback = callback;
      this.#held.push(parts);
      addon.queue(descriptor, slot, parts.header, parts.body);
    };
    socket._write = (chunk: Uint8Array, _encoding, callback) =>
      write({ header: undefined, body: chunk }, callback);
    socket._writev = (chunks, callback) => write(partsOf(chunks as Chunks), callback);
  }

  onEvent(kind: number, result: number): void {
    if (kind === released) {
      this.#held.shift();
      return;
    }
    if ((result | 0) < 0) throw new Error(`the floor cannot send: errno ${-(result | 0)}`);
    const callback = this.#callback as Callback;
    this.#callback = undefined;
    callback();
  }
}
