// A certificate for TLS tests.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

export interface Identity {
  readonly key: string;
  readonly cert: string;
}

/** A self-signed certificate, made anew so that none expires in the repository. */
export function makeIdentity(): Identity {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'zero-copy-tls-'));
  const [key, cert] = [path.join(folder, 'key.pem'), path.join(folder, 'cert.pem')];
  try {
    const request = 'req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost'.split(' ');
    const made = spawnSync('openssl', [...request, '-keyout', key, '-out', cert]);
    if (made.error !== undefined || made.status !== 0) {
      const why = made.error?.message ?? made.stderr.toString();
      assert.fail(`these tests need the openssl command to make a certificate: ${why}`);
    }
    return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
