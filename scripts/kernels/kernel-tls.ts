// TLS in the kernel under a socket of the guest, with keys that both ends know; and its records, read without
// the kernel.
import { spawnSync } from 'node:child_process';
import { createDecipheriv } from 'node:crypto';
import { existsSync } from 'node:fs';
import type net from 'node:net';
import { compiledFrom } from '../compiled';

const KEY_BYTES = 16;
const SALT_BYTES = 4;
const NONCE_BYTES = 8;
const TAG_BYTES = 16;
const HEADER_BYTES = 5;

/** Of one direction: a key, a salt and the first explicit nonce. */
export const FROM_NEAR = Buffer.from('the near end sends with this');
export const FROM_FAR = Buffer.from('the far end answers by these');

/** The host compiles it, which is quicker than the guest. */
export function kernelTlsProgram(): string {
  return compiledFrom('scripts/kernels/kernel-tls.c');
}

/** Debian 11's kernel is built without it. The list of modules (tcp_available_ulp) is missing in some namespaces. */
export function hasKernelTls(): boolean {
  return existsSync('/sys/module/tls');
}

/** What is written from here on is encrypted, or what is read decrypted. Throws: when the kernel refuses. */
export function startKernelTls(
  socket: net.Socket,
  { send, receive }: { readonly send?: Buffer; readonly receive?: Buffer },
): void {
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
  const argv = [send, receive].map((secret) => secret?.toString('hex') ?? '-');
  const { status, stderr } = spawnSync(kernelTlsProgram(), argv, {
    // Not as one of the first three: these are made blocking, and with them the socket itself.
    stdio: ['ignore', 'ignore', 'pipe', fd],
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(stderr);
}

/** Decrypts a stream of records by Node. */
export class TlsRecords {
  #rest = Buffer.alloc(0);
  #sequence = 0n;

  constructor(readonly secret: Buffer) {}

  /** What `data` completes. Throws: when a record is not authentic. */
  decrypt(data: Buffer): Buffer {
    this.#rest = Buffer.concat([this.#rest, data]);
    const plain: Buffer[] = [];
    for (;;) {
      if (this.#rest.length < HEADER_BYTES) break;
      const end = HEADER_BYTES + this.#rest.readUInt16BE(3);
      if (this.#rest.length < end) break;
      plain.push(this.#decryptOne(this.#rest.subarray(0, end)));
      this.#rest = this.#rest.subarray(end);
    }
    return Buffer.concat(plain);
  }

  #decryptOne(record: Buffer): Buffer {
    const text = HEADER_BYTES + NONCE_BYTES;
    const key = this.secret.subarray(0, KEY_BYTES);
    const salt = this.secret.subarray(KEY_BYTES, KEY_BYTES + SALT_BYTES);
    const nonce = Buffer.concat([salt, record.subarray(HEADER_BYTES, text)]);
    // RFC 5246, 6.2.3.3: the sequence number, the type and the version, and the length of the text.
    const aad = Buffer.alloc(13);
    aad.writeBigUInt64BE(this.#sequence++, 0);
    record.copy(aad, 8, 0, 3);
    aad.writeUInt16BE(record.length - text - TAG_BYTES, 11);
    const decipher = createDecipheriv('aes-128-gcm', key, nonce);
    decipher.setAAD(aad).setAuthTag(record.subarray(-TAG_BYTES));
    const plain = decipher.update(record.subarray(text, -TAG_BYTES));
    return Buffer.concat([plain, decipher.final()]);
  }
}
