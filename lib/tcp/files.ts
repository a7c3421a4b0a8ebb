// An upgraded socket as files/ sees it.
import type net from 'node:net';
import { leftFile, sentFile, type FileHost } from '../files/index.js';
import type { ResolvedOptions } from '../send/options.js';
import type { FileReason } from '../names.js';
import type { Counters } from '../observe/counters.js';

/** The parts of an upgrade that files need. */
interface Owner {
  readonly socket: net.Socket;
  readonly options: ResolvedOptions;
  readonly counting: Counters;
  movedByFile(textBytes: number, fileBytes: number): void;
}

export class TcpFiles implements FileHost {
  readonly #owner: Owner;
  readonly #write: unknown;

  /** @param write the upgrade's own */
  constructor(owner: Owner, write: unknown) {
    this.#owner = owner;
    this.#write = write;
  }

  get socket(): net.Socket {
    return this.#owner.socket;
  }
  get takesFiles(): boolean {
    return this.#owner.options.takesFiles;
  }
  get writesItself(): boolean {
    return this.socket.write === this.#write;
  }

  movedBytes(bytes: number, fromFile: number): void {
    this.#owner.movedByFile(bytes - fromFile, fromFile);
  }

  sentFile(bytes: number): void {
    this.#owner.counting.files++;
    sentFile(this.socket, bytes);
  }

  leftFile(reason: FileReason): void {
    this.#owner.counting.filesLeft++;
    leftFile(this.socket, reason);
  }
}
