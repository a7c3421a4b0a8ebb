// The machine and the settings a result depends on, as key=value.
import { readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { packageRoot } from './native';
import { datagramWorkloads, formatSize, type BenchOptions } from './options';
import type { Place } from './place';

export type Facts = Record<string, string | number>;

export async function hostFacts(place: Place): Promise<Facts> {
  const manifest = JSON.parse(readFileSync(path.join(packageRoot, 'package.json'), 'utf8')) as {
    version: string;
  };
  return {
    'msg-zerocopy': manifest.version,
    kernel: os.release(),
    node: process.version,
    cpu: (os.cpus()[0]?.model ?? 'unknown').trim(),
    cpus: os.availableParallelism(),
    memory: formatSize(Math.round(os.totalmem() / 1_048_576) * 1_048_576),
    optmem_max: sysctl('net/core/optmem_max'),
    rmem_max: sysctl('net/core/rmem_max'),
    wmem_max: sysctl('net/core/wmem_max'),
    memlock: memlock(),
    place: place.name,
    device: place.device,
    ...(await namespaceFacts(place)),
    ...(process.env['MSG_ZEROCOPY_ENGINE'] !== undefined && {
      MSG_ZEROCOPY_ENGINE: process.env['MSG_ZEROCOPY_ENGINE'],
    }),
  };
}

export function optionFacts(options: BenchOptions): Facts {
  const { workloads, contestants, rows, sizes, rounds, seconds, warmup, rate, family } = options;
  const datagrams = workloads.some((name) => datagramWorkloads.has(name));
  const others = workloads.some((name) => !datagramWorkloads.has(name));
  return {
    rounds,
    seconds,
    ...(warmup !== undefined && { warmup }),
    ...(sizes && { sizes: sizes.map(formatSize).join(',') }),
    ...(others && {
      ...(options.footprint !== undefined && { footprint: formatSize(options.footprint) }),
      contestants: contestants.map(describe).join(','),
      rate: rate ?? 'unlimited',
    }),
    ...(datagrams && { sink: options.sink, rows: rows?.join(',') ?? 'all' }),
    ip: family,
  };
}

export function formatFacts(facts: Facts): string {
  return Object.entries(facts)
    .map(([key, value]) => `${key}=${/\s/.test(String(value)) ? JSON.stringify(value) : value}`)
    .join(' ');
}

function describe({ name, settings }: BenchOptions['contestants'][number]): string {
  const parts = Object.entries(settings ?? {})
    .filter(([, value]) => name !== value && name !== `${value}+pool`)
    .map(([key, value]) => `${key}:${value}`);
  return parts.length > 0 ? `${name}(${parts.join(' ')})` : name;
}

// These belong to the network namespace of the sender, so a process in there has to look.
async function namespaceFacts(place: Place): Promise<Facts> {
  const files = ['tcp_wmem', 'tcp_congestion_control'];
  const paths = files.map((name) => `/proc/sys/net/ipv4/${name}`);
  const text = await place.start('sender', 'cat', ['cat', ...paths]).output(10_000);
  const lines = text.trim().split('\n');
  return Object.fromEntries(
    files.map((name, index) => [name, (lines[index] ?? '').replace(/\s+/g, ',')]),
  );
}

function sysctl(name: string): string {
  try {
    return readFileSync(`/proc/sys/${name}`, 'utf8').trim();
  } catch {
    return 'unknown';
  }
}

function memlock(): string {
  const limits = readFileSync('/proc/self/limits', 'utf8');
  return /^Max locked memory\s+(\S+)/m.exec(limits)?.[1] ?? 'unknown';
}
