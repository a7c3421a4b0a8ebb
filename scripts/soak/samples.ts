// What a process holds at one moment, and whether it grows.
import { linearRegression } from 'simple-statistics';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { metrics } from '../../lib/index';
import type { Memory } from './memory';
import type { Sample } from './protocol';

/** Collections until what is not referenced is gone: weak references outlive the turn they were read in. */
const COLLECTIONS = 4;

export async function collectGarbage(): Promise<void> {
  for (let i = 0; i < COLLECTIONS; i++) {
    globalThis.gc?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function descriptors(): string[] {
  return readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ''; // that of the folder being read
    }
  });
}

const TABLES = ['tcp', 'tcp6', 'udp', 'udp6', 'raw', 'raw6', 'packet', 'unix'];

/** Which sockets this process has: the kernel's table of each, with its line. */
export function namedSockets(): string[] {
  const inodes = descriptors().flatMap((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? []);
  const lines = TABLES.flatMap((table) =>
    readFileSync(`/proc/self/net/${table}`, 'latin1')
      .split('\n')
      .map((line) => `${table} ${line.trim().replace(/\s+/g, ' ')}`),
  );
  const unknown = 'in no table: closed by its peer, or not bound yet';
  return inodes.map((inode) => lines.find((line) => line.split(' ').includes(inode)) ?? unknown);
}

function mappings(): string[] {
  return readFileSync('/proc/self/maps', 'utf8').split('\n');
}

/** Of rings of io_uring: this package's, and libuv's. */
export function ringMappings(): number {
  return mappings().filter((line) => line.includes('io_uring')).length;
}

/** Means something after collectGarbage(). */
export function takeSample(startedMs: number, memory: Memory): Sample {
  const { heapUsed, rss, external } = process.memoryUsage();
  const open = descriptors();
  const maps = mappings();
  const { openPorts, pinnedBytes } = metrics();
  return {
    seconds: (performance.now() - startedMs) / 1000,
    heapBytes: heapUsed,
    rssBytes: rss,
    externalBytes: external,
    sockets: open.filter((target) => target.startsWith('socket:')).length,
    descriptors: open.length,
    ringMappings: ringMappings(),
    packetRings: maps.filter((line) => line.includes('socket:[')).length,
    mappings: maps.length,
    openPorts,
    pinnedBytes,
    retainedBuffers: memory.retained(),
  };
}

/** Bytes a minute by which a value grows over the samples, by least squares. */
export function slopePerMinute(
  samples: readonly Sample[],
  value: (sample: Sample) => number,
): number {
  if (samples.length < 2) return 0;
  return linearRegression(samples.map((sample) => [sample.seconds, value(sample)])).m * 60;
}
