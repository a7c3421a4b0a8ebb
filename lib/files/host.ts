// What files/ needs of an upgraded socket. The upgrade provides it: files/ knows nothing of tcp/.
import type net from 'node:net';
import type { FileReason } from '../names.js';

export interface FileHost {
  readonly socket: net.Socket;
  /** Streams that are piped into this socket go by the kernel. */
  readonly takesFiles: boolean;
  /** Its write() is the upgrade's own: nobody else wants to see what is written. */
  readonly writesItself: boolean;
  /** The kernel took bytes that Node does not count; so many of them from a file. */
  movedBytes(bytes: number, fromFile: number): void;
  /** A file was sent to its end, or the range that was wanted of it. @param bytes that sendfile(2) moved */
  sentFile(bytes: number): void;
  /** A file is left to Node's own stream. */
  leftFile(reason: FileReason): void;
}

/** The upgrade of a socket; undefined of any other stream. */
type FindFileHost = (socket: object) => FileHost | undefined;

let find: FindFileHost = () => undefined;

/** How upgrades are found from now on. */
export function setFileHosts(finder: FindFileHost): void {
  find = finder;
}

export function fileHostOf(socket: object): FileHost | undefined {
  return find(socket);
}
