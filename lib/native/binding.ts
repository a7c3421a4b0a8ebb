// The door to the native addon: loads it, and declares the whole of its surface. Positional
// arguments, checked by the callers here; results are values or -errno.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { warnOnce } from '../observe/diagnostics.js';
import type { KernelConstants, NativeConstants } from './binding-constants.js';
import type {
  NativeInterface,
  NativeRoute,
  NativeNeighbour,
  NativeDevice,
  NativeFeatures,
  NativeDescription,
} from './described.js';
import {
  type Choice,
  chooseAddon,
  type Host,
  missing,
  type Platform,
  refuseRuntime,
} from './loader.js';

export type * from './described.js';

/** The result of making a ring for a trial. */
export interface NativeRingTrial {
  /** 0, or -errno of the step that failed. */
  readonly error: number;
  readonly step: 'setup' | 'opcode' | 'send' | 'filter' | 'child';
  /** 0, or -errno: why memory cannot be registered. */
  readonly buffersError: number;
  /** A message of several pieces may name registered memory. Linux 6.15. */
  readonly vectoredSlots: boolean;
}

/** latin1, UTF-8 */
export type TextEncoding = 0 | 1;
/** What stands in front of a body: text, which may be empty, or bytes. */
export type Head = string | Uint8Array;

export interface Native {
  /** Of the package that the addon was compiled from. */
  readonly version: string;
  readonly constants: NativeConstants;
  readonly kernel: KernelConstants;
  /**
   * Creates the reactor of this environment, once. `graceMs`: how long its teardown waits for releases. `words`: room
   * for records, and one word that says whether some wait. `latency`, `log`: kernel/stream_sender.h.
   */
  start(
    words: Uint32Array,
    onRecords: (count: number) => void,
    graceMs: number,
    latency: Float64Array,
    log: Float64Array,
  ): number;
  /** Puts waiting records into the shared words; returns how many. */
  takeRecords(): number;
  /**
   * Duplicates `fd` into a port; its index, or -errno. `ours`: we switched SO_ZEROCOPY on before; `firstId`: the
   * number of its next zero-copy send. By the ring, neither matters.
   */
  attach(fd: number, byRing: boolean, ours: boolean, firstId: number): number;
  /** The words of the streams from PORTS_PER_CHUNK * chunk on: StreamWord of kernel/stream_sender.h. */
  streamWords(chunk: number): Float64Array;
  setLimits(port: number, mostPending: number, threshold: number, mostStaged: number): void;
  /** Whether the addon reports each id. */
  setReporting(port: number, reporting: boolean): void;
  /**
   * Writes everything after the first `skip` bytes: 0 done; 1 waiting for space, which a record will report, and the
   * words say how much was sent; 2 call again at once; or -errno. `kind`: ChunkKind; `flags`: WRITE_*.
   */
  writeOne(port: number, chunk: Uint8Array, kind: number, skip: number, flags: number): number;
  /** The same for a header, at most MOST_TEXT characters of latin1, and a body. */
  writeAnswer(
    port: number,
    text: string,
    body: Uint8Array,
    kind: number,
    skip: number,
    flags: number,
  ): number;
  /** The same for several chunks, with a kind for each. */
  writeMany(
    port: number,
    chunks: readonly Uint8Array[],
    kinds: Uint8Array,
    skip: number,
    flags: number,
  ): number;
  /**
   * One copying sendmsg(2) on any descriptor, of bytes or at most MOST_TEXT characters, then `body`.
   * @returns bytes, or -errno
   */
  sendNow(fd: number, head: Head, body: Uint8Array | undefined, encoding: TextEncoding): number;
  /**
   * The same for what may share a call with other sends of this turn, at most MOST_BATCH_BYTES. The number of its
   * result in the words, or -1: there is no room, nothing is queued. `fd` must stay open until then.
   */
  queueSend(fd: number, head: Head, body: Uint8Array | undefined, encoding: TextEncoding): number;
  /**
   * writeAnswer() of a large body for what may share a call with other sends of this turn: the number of its result,
   * or -1: it is to be written at once. `body` must stay until the result is there.
   */
  queueAnswer(port: number, text: string, body: Uint8Array): number;
  /** Sends what is queued now: its results are in the words. */
  submitBatch(): void;
  /** The same by copies, where the environment ends: a thread's end resets connections whose memory is pinned. */
  copyBatch(): void;
  /**
   * `words`: MOST_BATCH results, bytes or -errno; and one word that is 1 while so many sends come in each turn that
   * sharing a call pays.
   */
  shareBatchWords(words: Int32Array): void;
  /** Makes queueSend() work, which needs the ring. `onBatch`: the first `count` results are there. 0 or -errno. */
  openBatch(onBatch: (count: number) => void): number;
  /** Asks for one RECORD_WRITABLE. */
  arm(port: number): number;
  /** Undoes arm(). */
  disarm(port: number): void;
  /** Reads the error queue now; how many records are in the shared words. */
  reap(port: number): number;
  /** FIN behind what was accepted; watches for late data of the peer. */
  linger(port: number): number;
  /** RST; what was pending becomes readable by reap(). */
  abort(port: number): number;
  /** Closes the duplicate. Only when nothing is pending. */
  detach(port: number): void;
  /** Whether to report every range at once. Returns how many are held already; reap() fetches them. */
  setEager(port: number, eager: boolean): number;
  /**
   * Whether a datagram port that reads, or what a stream has pinned, keeps the loop. A stream's next
   * zero-copy send does so again.
   */
  setReferenced(port: number, referenced: boolean): void;
  /** Another process has the connection: it is never reset from here. */
  abandon(port: number): void;
  /** Bytes that the peer has not acknowledged, or -errno. */
  unacknowledged(port: number): number;
  /** Adds to this environment's pinned bytes; the process's total. */
  addPinned(delta: number): number;
  /** Bytes that the process may pin at present. */
  setBudget(bytes: number): void;
  describe(): NativeDescription;
  /** A fast hash of a buffer's bytes; those of a detached one are none. Values mean nothing elsewhere. */
  hashBytes(bytes: Uint8Array): bigint;
  /**
   * Switches a boolean option on, on a throwaway socket: support 0 no, 1 yes, 2 unknown, 3 a seccomp filter kills
   * the process that tries.
   */
  probeOption(
    domain: number,
    type: number,
    protocol: number,
    level: number,
    name: number,
  ): { readonly support: number; readonly errno: number };

  // The io_uring of this environment.
  tryIoUring(): NativeRingTrial;
  /** Makes the ring. 0 or -errno. */
  openSubmitRing(submissions: number, completions: number, vectoredSlots: boolean): number;
  /**
   * Page-aligned memory; -errno where there is none. It is unmapped when it is collected.
   * @param pages 0: small ones; 1: huge ones, `bytes` a multiple of their size; 2: huge where possible
   */
  openSlab(bytes: number, pages: 0 | 1 | 2): ArrayBuffer | number;
  /** Registers a slab with the ring: sends from it pin nothing. 0 or -errno. */
  registerSlab(slab: ArrayBuffer): number;
  /**
   * Takes a slab out of the ring. It stays mapped until it is collected.
   * @param contents 0: unused, its memory goes back to the system; 1: views may still be read
   * @returns 0 or -errno
   */
  closeSlab(slab: ArrayBuffer, contents: 0 | 1): number;

  /** SO_MAX_PACING_RATE in bytes per second, Infinity for no limit. 0 or -errno. */
  setPacingRate(fd: number, rate: number): number;
  /** The same as it is, or -errno. */
  pacingRate(fd: number): number;
  setPortPacingRate(port: number, rate: number): number;
  portPacingRate(port: number): number;

  // Sockets that this package owns. Names are sockaddr structures.
  /** The memory through which datagrams are described; see datagram/metadata.ts. */
  shareDatagramWords(metadata: Uint32Array, arrivals: Uint32Array): void;
  /** socket(2), non-blocking; a port, or -errno. */
  openDatagram(domain: number, type: number, protocol: number): number;
  /** Takes over a datagram socket's descriptor; a port, or -errno. */
  adoptDatagram(fd: number): number;
  bind(port: number, name: Uint8Array): number;
  connect(port: number, name: Uint8Array): number;
  localName(port: number): Buffer | number;
  peerName(port: number): Buffer | number;
  setOption(port: number, level: number, name: number, value: number | Uint8Array): number;
  /** An int-valued getsockopt, or -errno. */
  getOption(port: number, level: number, name: number): number;
  /** SO_ATTACH_FILTER: 8 bytes for each instruction. */
  attachFilter(port: number, instructions: Uint8Array): number;
  /**
   * Whether to report RECORD_READABLE, which also holds the event loop. Each call with `true` reports what waits
   * already.
   */
  setReading(port: number, reading: boolean): number;
  /**
   * sendmmsg(2) of datagrams that the shared metadata describe; how many went, or -errno of the first.
   * Further from 0 by ID_TAKEN when the one that failed took an id.
   */
  sendDatagrams(port: number, count: number, flags: number, ...pieces: Uint8Array[]): number;
  /**
   * recvmmsg(2) into `memory`, which has RECEIVE_SLOT_BYTES for each datagram; how many, or -errno. The
   * shared arrivals describe them.
   */
  receive(port: number, memory: Uint8Array): number;
  /** Whether something waited to be received, or was lost for want of room; it is gone. */
  discardReceived(port: number): boolean;
  /** Datagrams that the kernel dropped because the socket's buffer was full, or -errno. */
  receiveDrops(port: number): number;
  findInterface(nameOrIndex: string | number): NativeInterface | number;

  // Files that are sent to a socket.
  /**
   * Sends `text` (latin1, at most MOST_TEXT characters) and behind it at most `count` bytes of a file, for about as
   * many microseconds, without ever waiting; FILE_…, or -errno. `moved`: gets the bytes of the text and of the file
   * that went, and the microseconds that it took.
   */
  moveFile(
    socket: number,
    text: string,
    file: number,
    offset: number,
    count: number,
    microseconds: number,
    moved: Float64Array,
  ): number;
  /** Reads what is in memory already; bytes, 0 at the end, or -errno: EAGAIN where it is not. */
  peekFile(file: number, offset: number, into: Uint8Array): number;
  /** 1: a regular file, of `facts[0]` bytes (0: unknown), on the device `facts[1]`; 0: something else; or -errno. */
  describeFile(file: number, facts: Float64Array): number;
  /** Opens a path that the kernel finds without waiting; a descriptor, or -errno. */
  openCached(path: string): number;
  duplicateFile(file: number): number;
  /** Closes a file, unless it was deleted: false, the thread pool should. */
  closeFile(file: number): boolean;
  /** Reads part of a file into the page cache on the thread pool. 0 or -errno; so for `done`, later. */
  warmFile(file: number, offset: number, count: number, done: (result: number) => void): number;

  // By rtnetlink and ethtool, of this network namespace.
  /**
   * @param device index of the only interface that may be used; 0: any
   * @param source of the packets, for routes that depend on it; undefined: any
   */
  findRoute(
    address: Uint8Array,
    device: number,
    source: Uint8Array | undefined,
  ): NativeRoute | number;
  findNeighbour(address: Uint8Array, device: number): NativeNeighbour | number;
  describeDevice(index: number): NativeDevice | number;
  deviceFeatures(name: string): NativeFeatures | number;

  // The transmit ring of a packet socket; slots count on across the wrap.
  /** Where a frame's bytes start in its slot. */
  readonly ringDataOffset: number;
  openRing(
    port: number,
    frameBytes: number,
    frames: number,
    blockBytes: number,
  ): ArrayBuffer | number;
  /** Has the kernel send slots from `first` on, to `name`; how many of them it took. */
  ringHand(
    port: number,
    first: number,
    lengths: Uint32Array,
    count: number,
    name: Uint8Array | undefined,
  ): number;
  /** Bytes that it took then, or -errno. */
  ringKicked(port: number): number;
  /** Consecutive slots from `first` on that the kernel gave back. */
  ringReleased(port: number, first: number, count: number): number;
  /** Whether the kernel found the frame wrong. */
  ringIsWrong(port: number, slot: number): boolean;
  /** Takes slots back that the kernel has not taken. */
  ringRevoke(port: number, first: number, count: number): void;
}

export type LoadResult = Choice<Native>;

let loaded: LoadResult | undefined;

/** Loads the addon, once; loader.ts says from where. Never throws: writes call it. */
export function loadNative(): LoadResult {
  loaded ??= refuseRuntime(process.versions) ?? choose();
  return loaded;
}

function choose(): LoadResult {
  try {
    const host = thisHost();
    const choice = chooseAddon(host, { file, localBuild, installed });
    const isNamed = !['', 'off', undefined].includes(host.override);
    if (isNamed && choice.native === undefined)
      warnOnce('ZC_ADDON', `Everything is copied: ${choice.why}`);
    return choice;
  } catch (error) {
    return missing(error instanceof Error ? error.message : String(error));
  }
}

function thisHost(): Host {
  const { platform, arch, env } = process;
  const isSetUid =
    process.getuid?.() !== process.geteuid?.() || process.getgid?.() !== process.getegid?.();
  const hasPermissions = 'permission' in process && process.permission !== undefined;
  const override = env['MSG_ZEROCOPY_ADDON'];
  return { platform, arch, libc, isInPackage, hasPermissions, override, isSetUid };
}

/**
 * An instance of the addon serves one copy of this package, and each call makes one: require() would give a
 * second copy (a module loaded anew, as test runners do for each file) the first one's. It also works in
 * a single executable application, whose require() knows Node's own modules only.
 */
function open(file: string): Native {
  const own = { exports: {} as Native };
  process.dlopen(own, file);
  return own.exports;
}

// Required lazily: a system without an addon does not pay for them.
/* eslint-disable @typescript-eslint/no-require-imports */
function libc(): string | null {
  return (require('detect-libc') as typeof import('detect-libc')).familySync();
}

function file(name: string): Native {
  const whole = path.resolve(name);
  // In tests a JavaScript module can replace the addon.
  return whole.endsWith('.js') ? (require(whole) as Native) : open(whole);
}

function localBuild(): Native {
  // Written so that tools which trace a deployment's files understand it.
  if (!existsSync(`${__dirname}/../../../build/Release/msg_zerocopy.node`)) throw new Error('none');
  const bindings = require('bindings') as (options: object) => string;
  const place = bindings({
    bindings: 'msg_zerocopy',
    module_root: packageRoot(),
    path: true,
    // One place. `bindings` itself knows a dozen, one of which the environment names.
    try: [['module_root', 'build', 'Release', 'bindings']],
  });
  return open(place);
}

declare const __webpack_require__: unknown;
declare const __non_webpack_require__: NodeJS.Require;

/**
 * From this file's place, so that layouts without a common node_modules (pnpm, Yarn PnP) find it. Each name
 * is written out: who traces which files a deployment needs reads the source. Webpack would want to parse
 * the binary, and looks for it when it runs instead.
 */
function installed(platform: Platform): Native {
  if (typeof __webpack_require__ === 'function') {
    return open(__non_webpack_require__.resolve(`@msg-zerocopy/${platform}`));
  }
  switch (platform) {
    case 'linux-x64-gnu':
      return open(require.resolve('@msg-zerocopy/linux-x64-gnu'));
    case 'linux-arm64-gnu':
      return open(require.resolve('@msg-zerocopy/linux-arm64-gnu'));
    case 'linux-x64-musl':
      return open(require.resolve('@msg-zerocopy/linux-x64-musl'));
    case 'linux-arm64-musl':
      return open(require.resolve('@msg-zerocopy/linux-arm64-musl'));
  }
}
/* eslint-enable */

/** Whether this package lies three folders up. A bundle has other files there, or does not know its place. */
function isInPackage(): boolean {
  if (typeof __dirname !== 'string') return false;
  try {
    const text = readFileSync(path.join(packageRoot(), 'package.json'), 'utf8');
    return (JSON.parse(text) as { name?: unknown }).name === 'msg-zerocopy';
  } catch {
    return false;
  }
}

// This file is <root>/dist/lib/native/binding.js when built.
function packageRoot(): string {
  return path.resolve(__dirname, '../../..');
}
