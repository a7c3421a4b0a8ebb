// The interface that files/ needs of an upgraded socket. tcp/ provides it, so that files/ need not import tcp/.
import type net from 'node:net';
import type { FileReason } from '../names.js';

export interface FileHost {
  readonly socket: net.Socket;
  /** Whether the kernel sends files that are piped into this socket. */
  readonly takesFiles: boolean;
  /** Whether its write() is the upgrade's own: no other wrapper expects to see the data. */
  readonly writesItself: boolean;
  /** The kernel took `bytes` that Node does not count, `fromFile` of them from a file. */
  movedBytes(bytes: number, fromFile: number): void;
  /** A file, or the wanted range of it, was sent. @param bytes that sendfile(2) moved */
  sentFile(bytes: number): void;
  /** Node's own stream sends a file. */
  leftFile(reason: FileReason): void;
}

/** Finds the upgrade of a socket; undefined for any other stream. */
type FindFileHost = (socket: object) => FileHost | undefined;

let find: FindFileHost = () => undefined;

/** Sets how upgrades are found. */
export function setFileHosts(finder: FindFileHost): void {
  find = finder;
}

export function fileHostOf(socket: object): FileHost | undefined {
  return find(socket);
}
