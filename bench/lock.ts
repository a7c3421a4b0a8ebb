// One measurement at a time per machine: a second one waits while the owner of the lock file lives.
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const pollMs = 500;
const longestWaitMs = 2 * 3600_000;

const lockFile = path.join(os.tmpdir(), 'msg-zerocopy-bench.lock');

/** Settles once this process owns the lock; it is given back when the process exits. */
export async function takeLock(): Promise<void> {
  const mine = `${lockFile}.${process.pid}`;
  // Written first and linked into place, so that a lock is never read without its owner.
  writeFileSync(mine, String(process.pid));
  try {
    await linkWhenFree(mine);
  } finally {
    rmSync(mine, { force: true });
  }
  process.once('exit', () => rmSync(lockFile, { force: true }));
}

async function linkWhenFree(mine: string): Promise<void> {
  const deadline = Date.now() + longestWaitMs;
  let announced: number | undefined;
  while (Date.now() < deadline) {
    try {
      linkSync(mine, lockFile);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const owner = ownerOfLock();
    if (owner === undefined || !isAlive(owner)) {
      rmSync(lockFile, { force: true });
      continue;
    }
    if (announced !== owner) console.error(`waiting for another measurement (pid ${owner})`);
    announced = owner;
    await sleep(pollMs);
  }
  throw new Error(`${lockFile} was not free within ${longestWaitMs / 60_000} minutes`);
}

function ownerOfLock(): number | undefined {
  try {
    const pid = Number(readFileSync(lockFile, 'utf8'));
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
