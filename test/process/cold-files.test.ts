// The event loop never waits for a disk: its timers keep their time while files come from there, as they do
// in plain Node, which reads by the thread pool.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { startProgram, stopPrograms } from '../helpers/program';
import type { ColdArgument, Delays, Way } from '../scenarios/cold-files';

const MiB = 1024 * 1024;
/** All are asked for at once. */
const FILES = 100;
const FILE_MIB = 10;

/** Writes a file, or has the page cache forget what it has of one. */
function dd(name: string, ...options: readonly string[]): void {
  execFileSync('dd', [`of=${name}`, 'oflag=nocache', ...options], { stdio: 'ignore' });
}

describe('files on a disk', () => {
  let root = '';
  let files: string[] = [];

  before(() => {
    root = mkdtempSync(path.join(os.tmpdir(), 'zc-cold-'));
    files = Array.from({ length: FILES }, (_, i) => path.join(root, String(i)));
    for (const file of files) dd(file, 'if=/dev/zero', 'bs=1M', `count=${FILE_MIB}`, 'conv=fsync');
  });
  after(() => rmSync(root, { recursive: true, force: true }));
  afterEach(stopPrograms);

  async function delays(way: Way): Promise<Delays> {
    for (const file of files) dd(file, 'if=/dev/null', 'conv=notrunc,fdatasync', 'count=0');
    const server = startProgram('cold-files', { role: 'server', way, files } as ColdArgument);
    const { port } = await server.next<{ port: number }>();
    const clients = startProgram('cold-files', {
      role: 'clients',
      port,
      files: FILES,
    } as ColdArgument);
    const { taken } = await clients.next<{ taken: number[] }>();
    assert.ok(taken.every((bytes) => bytes > FILE_MIB * MiB));
    server.tell({});
    return server.next<Delays>();
  }

  it('timers fire on time, and no call blocks, while files are read from it', async () => {
    const plain = await delays('plain');
    for (const way of ['piped', 'sendFile()'] as const) {
      const { p99, worst, byKernel, moves, slept } = await delays(way);
      assert.equal(byKernel, FILES);
      // A lock that another processor holds is no disk.
      assert.ok(slept <= 3, `${way}: ${slept} of ${moves} calls waited`);
      const said = `${way}: ${p99} and at worst ${worst} ms late, in plain Node ${plain.p99} and ${plain.worst}`;
      assert.ok(p99 <= 3 * plain.p99 + 5, said);
    }
  });
});
