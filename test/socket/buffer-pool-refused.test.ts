// BufferPool where the addon, memory, huge pages or registration are refused.
import assert from 'node:assert/strict';
import path from 'node:path';
import type { BufferPoolOptions } from '../../lib/index';
import { isolated } from '../helpers/isolated';
import type { SlabAnswers, SlabCall } from '../scenarios/buffer-pool-addon';
import { MIB } from '../helpers/pool-stats';

const ADDON = path.join(__dirname, '../scenarios/buffer-pool-addon.js');
const NO_MEMORY = -12;
const NOT_SUPPORTED = -95;

interface Outcome {
  readonly error?: {
    readonly code: string;
    readonly errno: number;
    readonly syscall: string;
    readonly remedies: readonly string[];
  };
  readonly registered?: boolean;
  readonly reason?: string | undefined;
  readonly bytes?: number;
  /** Whether alloc() and free() work, and how many pieces were ordinary memory. */
  readonly works?: boolean;
  readonly ordinary?: number;
  readonly calls: SlabCall[];
}

/** Makes a pool of 5 MiB and uses it. */
function outcomeOf(hugePages: BufferPoolOptions['hugePages'], env: Record<string, string>) {
  const body = ({ zc }: Parameters<Parameters<typeof isolated>[0]>[0]): Outcome => {
    const hugePages = JSON.parse(process.env['HUGE_PAGES'] ?? '') as boolean;
    const remembered = globalThis as unknown as { slabCalls?: SlabCall[] };
    try {
      const pool = new zc.BufferPool({ bytes: 5 * 1024 * 1024, hugePages });
      const piece = pool.allocUnsafe(100_000).fill(1);
      pool.free(piece);
      const zeros = pool.alloc(100_000);
      const works = piece.length === 100_000 && zeros.every((byte) => byte === 0);
      pool.free(zeros);
      const { bytes, fallbackAllocations: ordinary } = pool.stats;
      const { registered, reason } = pool;
      const calls = remembered.slabCalls ?? [];
      return { registered, reason, bytes, works, ordinary, calls };
    } catch (error) {
      const { code = '', errno = 0, syscall = '', message } = error as NodeJS.ErrnoException;
      const remedies = ['vm.nr_hugepages', 'RLIMIT_AS'].filter((name) => message.includes(name));
      return { error: { code, errno, syscall, remedies }, calls: remembered.slabCalls ?? [] };
    }
  };
  return isolated(body, { env: { HUGE_PAGES: JSON.stringify(hugePages), ...env } });
}

describe('BufferPool where the machine refuses', () => {
  const answering = (answers: SlabAnswers): Record<string, string> => ({
    MSG_ZEROCOPY_ADDON: ADDON,
    SLAB_ANSWERS: JSON.stringify(answers),
  });

  it('the addon returns ordinary memory, with the reason', async () => {
    for (const hugePages of [false, 'try', true] as const) {
      const { answer, stderr } = await outcomeOf(hugePages, { MSG_ZEROCOPY_ADDON: 'off' });
      const reason = 'addon-unavailable: MSG_ZEROCOPY_ADDON=off';
      const expected = { registered: false, reason, bytes: 0, works: true, ordinary: 2, calls: [] };
      assert.deepEqual(answer, expected, stderr);
    }
  });

  it("memory throws mmap's error, which names the remedy", async () => {
    const env = answering({ open: { 0: NO_MEMORY }, register: 0 });
    const { answer, stderr } = await outcomeOf(false, env);
    const remedies = ['RLIMIT_AS'];
    const error = { code: 'ENOMEM', errno: NO_MEMORY, syscall: 'mmap', remedies };
    assert.deepEqual(answer, { error, calls: [[5 * MIB, 0]] }, stderr);
  });

  it("required huge pages throws mmap's error, which names the remedy", async () => {
    const env = answering({ open: { 1: NO_MEMORY }, register: 0 });
    const { answer, stderr } = await outcomeOf(true, env);
    const remedies = ['vm.nr_hugepages'];
    const error = { code: 'ENOMEM', errno: NO_MEMORY, syscall: 'mmap', remedies };
    assert.deepEqual(answer, { error, calls: [[6 * MIB, 1]] }, stderr);
  });

  it('optional huge pages uses transparent ones', async () => {
    const env = answering({ open: { 1: NO_MEMORY }, register: 0 });
    const { answer, stderr } = await outcomeOf('try', env);
    const { calls, reason, ...rest } = answer ?? { calls: [] };
    assert.deepEqual(rest, { registered: false, bytes: 6 * MIB, works: true, ordinary: 0 }, stderr);
    assert.match(reason ?? '', /huge.*never registered/);
    assert.deepEqual(calls, [
      [6 * MIB, 1],
      [6 * MIB, 2],
    ]);
  });

  it('nothing uses huge pages, and does not register them', async () => {
    for (const hugePages of [true, 'try'] as const) {
      const env = answering({ open: {}, register: 0 });
      const { answer, stderr } = await outcomeOf(hugePages, env);
      assert.equal(answer?.registered, false, stderr);
      assert.match(answer.reason ?? '', /huge.*never registered/);
      assert.deepEqual(answer.calls, [[6 * MIB, 1]]);
    }
  });

  it('external memory returns ordinary memory, with the reason', async () => {
    const env = answering({ open: { 0: NOT_SUPPORTED }, register: 0 });
    const { answer, stderr } = await outcomeOf(false, env);
    const { reason, ...rest } = answer ?? { calls: [] };
    assert.deepEqual(
      rest,
      { registered: false, bytes: 0, works: true, ordinary: 2, calls: [[5 * MIB, 0]] },
      stderr,
    );
    assert.match(reason ?? '', /no-external-memory/);
  });

  it('the registration uses the memory all the same, with the reason', async () => {
    const env = answering({ open: {}, register: NO_MEMORY });
    const { answer, stderr } = await outcomeOf(false, env);
    const { reason, calls, ...rest } = answer ?? { calls: [] };
    assert.deepEqual(rest, { registered: false, bytes: 5 * MIB, works: true, ordinary: 0 }, stderr);
    assert.match(reason ?? '', /\w/);
    assert.deepEqual(calls[0], [5 * MIB, 0]);
  });
});
