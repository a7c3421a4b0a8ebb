// The door to the native addon: loads it, and declares the whole of its surface. Positional
// arguments, checked by the callers here; results are values or -errno.
import { existsSync } from 'node:fs';
import path from 'node:path';

/** Numbers that both sides share; native exports them so that none is written twice. */
export interface NativeConstants {
  readonly RECORD_WORDS: number;
  readonly RECORD_RANGE: number;
  readonly RECORD_COPIED: number;
  readonly RECORD_WRITABLE: number;
  readonly RECORD_PEER_DATA: number;
  readonly RECORD_HANGUP: number;
  readonly SEND_ZEROCOPY: number;
  readonly SEND_MORE: number;
}

export interface NativeDescription {
  /** Soft RLIMIT_MEMLOCK in bytes; -1 when unlimited. */
  readonly memlockBytes: number;
  readonly ipcLock: boolean;
  readonly openPorts: number;
  readonly abortedAtExit: number;
  readonly kernelRelease: string;
}

export interface Native {
  readonly constants: NativeConstants;
  /** Creates the reactor of this environment. `graceMs`: how long its end waits for releases. */
  start(words: Uint32Array, onRecords: (count: number) => void, graceMs: number): number;
  /** Duplicates `fd` into a port; its index, or -errno. `ours`: we switched SO_ZEROCOPY on before. */
  attach(fd: number, ours: boolean): number;
  /** One sendmsg(2) of pieces[first..] from `offset`, at most `length` bytes; bytes, or -errno. */
  send(
    port: number,
    pieces: readonly Uint8Array[],
    first: number,
    offset: number,
    length: number,
    flags: number,
  ): number;
  /** Asks for one RECORD_WRITABLE. */
  arm(port: number): number;
  /** Reads the error queue now; how many records are in the shared words. */
  reap(port: number): number;
  /** FIN behind what was accepted; watches for late data of the peer. */
  linger(port: number): number;
  /** RST; what was pending becomes readable by reap(). */
  abort(port: number): number;
  /** Closes the duplicate. Only when nothing is pending. */
  detach(port: number): void;
  /**
   * Whether every range is reported at once, because somebody waits for it. Answers how many ranges
   * are held already; reap() fetches them.
   */
  setEager(port: number, eager: boolean): number;
  setReferenced(port: number, referenced: boolean): void;
  /** Bytes that the peer has not acknowledged, or -errno. */
  unacknowledged(port: number): number;
  /** Adds to this environment's pinned bytes; the process's total. */
  addPinned(delta: number): number;
  describe(): NativeDescription;
  /** SO_ZEROCOPY on a throwaway TCP socket: support 0 no, 1 yes, 2 unknown. */
  probeTcp(family: 4 | 6): { readonly support: number; readonly errno: number };
}

export type LoadResult =
  { readonly native: Native } | { readonly native?: undefined; readonly why: string };

let loaded: LoadResult | undefined;

/**
 * Loads the addon, once. Order: the environment variable MSG_ZEROCOPY_ADDON (a path, or `off`), then
 * the local build.
 */
export function loadNative(): LoadResult {
  loaded ??= tryLoad();
  return loaded;
}

function tryLoad(): LoadResult {
  const override = process.env['MSG_ZEROCOPY_ADDON'];
  if (override === 'off') return { why: 'MSG_ZEROCOPY_ADDON=off' };
  if (process.platform !== 'linux') return { why: `no MSG_ZEROCOPY on ${process.platform}` };
  try {
    if (override !== undefined && override !== '') {
      // eslint-disable-next-line @typescript-eslint/no-require-imports
      return { native: require(path.resolve(override)) as Native };
    }
    // eslint-disable-next-line @typescript-eslint/no-require-imports
    const bindings = require('bindings') as (options: object) => Native;
    return { native: bindings({ bindings: 'msg_zerocopy', module_root: packageRoot() }) };
  } catch (error) {
    return { why: error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error) };
  }
}

// This file is <root>/dist/lib/binding.js when built.
function packageRoot(): string {
  let folder = __dirname;
  while (!existsSync(path.join(folder, 'package.json'))) {
    const parent = path.dirname(folder);
    if (parent === folder) return __dirname;
    folder = parent;
  }
  return folder;
}
