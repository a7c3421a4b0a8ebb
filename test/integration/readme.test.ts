// What README.md shows first runs as it is printed.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ROOT } from '../helpers/tarballs';

// The port that is printed may be somebody's: the kernel chooses one, and it is told.
const ANY_PORT = `
const { Server } = require('node:net');
const { listen } = Server.prototype;
Server.prototype.listen = function () {
  return listen.call(this, 0, '127.0.0.1', () => console.log(this.address().port));
};`;

describe("README's first block", () => {
  it('runs as printed and answers with its body', async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-readme-'));
    const preload = path.join(folder, 'any-port.cjs');
    writeFileSync(preload, ANY_PORT);
    const [, block = ''] =
      /```js\n(.*?)```/s.exec(readFileSync(path.join(ROOT, 'README.md'), 'utf8')) ?? [];
    // In the checkout the package finds itself by its name.
    const child = spawn(process.execPath, ['--require', preload, '-e', block], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(child, 'close');
    try {
      const [port] = (await Promise.race([once(child.stdout, 'data'), ended])) as [Buffer];
      const response = await fetch(`http://127.0.0.1:${String(port).trim()}/`);
      const body = await response.text();
      assert.equal(body.length, 1024 * 1024);
      assert.equal(body, 'large enough'.repeat(1024 * 1024).slice(0, 1024 * 1024));
    } finally {
      child.kill();
      await ended;
      rmSync(folder, { recursive: true });
    }
  });
});
