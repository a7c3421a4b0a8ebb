// Opens files. A path that was opened before is opened again in the event loop, if the kernel can do so without
// waiting; all others are opened by the thread pool.
import fs from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { constants as osConstants } from 'node:os';
import { loadNative } from '../native/binding.js';
import { nowMs } from '../node/clock.js';
import { isDirectory, notOpen, notRegularFile, systemError } from '../errors.js';

/** A path, a file: URL, a FileHandle or a descriptor. */
export type FileName = string | URL | FileHandle | number;

/** An open file. */
export interface FileSource {
  readonly file: number;
  /** Its size by fstat(2); 0 if it does not know its size. */
  readonly bytes: number;
  /** Closes a descriptor that was opened here. */
  close(): void;
}

/** Paths on file systems where opening a file asks no other machine or process, and until when they count. */
const hot = new Map<string, number>();
const MOST_HOT = 4096;
const HOT_MS = 60_000;
/** Devices of such file systems, and others; undefined: being asked about. */
const devices = new Map<number, boolean | undefined>();
const MOST_DEVICES = 256;

/** f_type of statfs(2), include/uapi/linux/magic.h: ext4, tmpfs, XFS, Btrfs, overlay, F2FS, EROFS, squashfs, ZFS. */
const LOCAL: ReadonlySet<number> = new Set([
  0xef53, 0x01021994, 0x58465342, 0x9123683e, 0x794c7630, 0xf2f52010, 0xe0f5e1e2, 0x73717368,
  0x2fc12fc1,
]);

const { EBADF } = osConstants.errno;
const { O_RDONLY, O_NONBLOCK = 0 } = fs.constants;
/** Size and device of the file that describeFile() was last asked about. */
const facts = new Float64Array(2);

/** Opens a file without waiting; undefined: only openLater() can. Throws: system errors, ERR_ZC_FILE_NOT_REGULAR. */
export function openNow(name: FileName): FileSource | undefined {
  if (typeof name === 'string') {
    const file = openHot(name);
    if (file === undefined) return undefined;
    return { file, bytes: facts[0] as number, close: () => closeNow(file) };
  }
  if (name instanceof URL) return undefined;
  return duplicated(typeof name === 'number' ? name : name.fd);
}

// A duplicate: the program may close its descriptor too soon, and another file get the number.
function duplicated(file: number): FileSource {
  const { native } = loadNative();
  if (file < 0) throw notOpen('dup', file);
  if (native === undefined) return described(file, () => undefined);
  const copy = native.duplicateFile(file);
  if (copy === -EBADF) throw notOpen('dup', file);
  if (copy < 0) throw systemError(copy, 'dup');
  return described(copy, () => closeNow(copy));
}

/** Whether openHot() may open it. */
export function isHot(path: string): boolean {
  return hot.has(path);
}

/** A descriptor of a regular file; undefined: only the thread pool can, or it reports the error. */
export function openHot(path: string): number | undefined {
  const { native } = loadNative();
  const until = hot.get(path);
  if (until === undefined || native === undefined) return undefined;
  if (until < nowMs()) {
    hot.delete(path);
    return undefined;
  }
  const file = native.openCached(path);
  if (file < 0) return undefined;
  if (native.describeFile(file, facts) === 1) return file;
  closeNow(file);
  return undefined;
}

/** Closes a descriptor in the event loop, unless that frees a file. */
export function closeNow(file: number): void {
  if (loadNative().native?.closeFile(file) !== true) fs.close(file, () => undefined);
}

/** Opens by the thread pool. Rejects as fs.open() does. */
export async function openLater(name: string | URL): Promise<FileSource> {
  // O_NONBLOCK: opening a FIFO would wait for its writer.
  const file = await new Promise<number>((resolve, reject) =>
    fs.open(name, O_RDONLY | O_NONBLOCK, (error, fd) => (error ? reject(error) : resolve(fd))),
  );
  const source = described(file, () => fs.close(file, () => undefined));
  if (typeof name === 'string') learn(name, facts[1] as number);
  return source;
}

/** A path was opened by the thread pool, and led to this device. */
export function learn(path: string, device: number): void {
  // The permission model checks only files that fs opens.
  if ('permission' in process && process.permission !== undefined) return;
  if (devices.get(device) === true) heat(path);
  if (devices.has(device)) return;
  if (devices.size >= MOST_DEVICES) devices.clear();
  devices.set(device, undefined);
  fs.statfs(path, (error, { type }: fs.StatsFs = {} as fs.StatsFs) => {
    if (error) devices.delete(device);
    else devices.set(device, LOCAL.has(type));
    if (devices.get(device) === true) heat(path);
  });
}

function heat(path: string): void {
  if (hot.size >= MOST_HOT) hot.clear();
  hot.set(path, nowMs() + HOT_MS);
}

/** Throws for a closed descriptor, a directory, or anything else but a regular file. */
function described(file: number, close: () => void): FileSource {
  try {
    return { file, bytes: sizeOf(file), close };
  } catch (error) {
    close();
    throw error;
  }
}

function sizeOf(file: number): number {
  const { native } = loadNative();
  if (native === undefined) {
    const status = statusOf(file);
    if (status.isDirectory()) throw isDirectory();
    if (!status.isFile()) throw notRegularFile();
    return status.size;
  }
  const regular = native.describeFile(file, facts);
  if (regular < 0) throw systemError(regular, 'fstat');
  if (regular === 1) return facts[0] as number;
  if (fs.fstatSync(file).isDirectory()) throw isDirectory();
  throw notRegularFile();
}

function statusOf(file: number): fs.Stats {
  try {
    return fs.fstatSync(file);
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'EBADF' ? notOpen('fstat', file) : error;
  }
}
