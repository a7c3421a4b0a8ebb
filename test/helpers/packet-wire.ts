// The wire between the two programs of a packet test: who its ends are, and what a test changes about
// it while it runs. Both the tests and the programs use this; commands name their namespace.
import { execFileSync } from 'node:child_process';
import { rigHelper } from '../../scripts/rig';

export type Family = 4 | 6;

/** One end of the wire. */
export interface End {
  readonly netns: string;
  readonly cpu: number;
  readonly device: string;
  /** Link-layer address. */
  readonly mac: string;
  readonly address4: string;
  readonly address6: string;
}

/** Frames go from `near`, where the socket under test is, to `far`. */
export interface Wire {
  readonly near: End;
  readonly far: End;
  /** A device beside the wire that takes every frame and lets it go unsent. */
  readonly sink: string;
  readonly mtu: number;
}

/** Bytes of the link header. */
export const LINK_HEADER = 14;

/** @param argv for ip(8), behind the choice of the namespace */
export function ip(end: { readonly netns: string }, ...argv: readonly string[]): string {
  return execFileSync('ip', ['-n', end.netns, ...argv], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

export function tc(end: { readonly netns: string }, ...argv: readonly string[]): void {
  execFileSync('tc', ['-n', end.netns, ...argv], { stdio: ['ignore', 'ignore', 'pipe'] });
}

export function helper(end: { readonly netns: string }, ...argv: readonly string[]): void {
  const command = ['netns', 'exec', end.netns, rigHelper(), ...argv];
  execFileSync('ip', command, { stdio: ['ignore', 'ignore', 'pipe'] });
}

export interface LinkState {
  readonly address: string;
  readonly mtu: number;
  readonly promiscuity: number;
  readonly ifindex: number;
}

export function linkState(end: { readonly netns: string }, device: string): LinkState {
  const [link] = JSON.parse(ip(end, '-d', '-j', 'link', 'show', 'dev', device)) as LinkState[];
  if (link === undefined) throw new Error(`no ${device} in ${end.netns}`);
  return link;
}

export function setMtu(end: End, mtu: number): void {
  ip(end, 'link', 'set', 'dev', end.device, 'mtu', String(mtu));
}

/** How long a frame of MTU size occupies a device made slow: 1514 bytes at 4 Mbit/s. */
export const SLOW_FRAME_MS = 3;

/**
 * Runs `body` while `device` (default: the near end's) sends one frame after another at 4 Mbit/s (or `rate`): the
 * kernel keeps each frame until its turn has come. What was queued is sent before it is fast again.
 * @param queueBytes what the device queues; more is dropped
 */
export async function whileSlow<T>(
  wire: Wire,
  body: () => Promise<T>,
  options: { readonly device?: string; readonly queueBytes?: number; readonly rate?: string } = {},
): Promise<T> {
  const device = ['dev', options.device ?? wire.near.device, 'root'];
  const limit = String(options.queueBytes ?? 1_000_000);
  const shape = ['tbf', 'rate', options.rate ?? '4mbit', 'burst', '1600', 'limit', limit];
  tc(wire.near, 'qdisc', 'replace', ...device, ...shape);
  try {
    return await body();
  } finally {
    tc(wire.near, 'qdisc', 'replace', ...device, 'pfifo', 'limit', '10000');
  }
}

/** Runs `body` while the far end's device loses `perMille` of 1000 frames, by a generic XDP program. */
export async function whileLossy<T>(
  wire: Wire,
  perMille: number,
  body: () => Promise<T>,
): Promise<T> {
  helper(wire.far, 'xdp-drop-random', wire.far.device, String(perMille));
  try {
    return await body();
  } finally {
    helper(wire.far, 'xdp-pass', wire.far.device);
  }
}

/** Runs `body` while the near end's device cannot do `features` by itself. */
export async function whileWithout<T>(
  wire: Wire,
  features: readonly ('tx' | 'tso' | 'gso' | 'sg')[],
  body: () => Promise<T>,
): Promise<T> {
  for (const feature of features) helper(wire.near, 'feature', wire.near.device, feature, 'off');
  try {
    return await body();
  } finally {
    for (const feature of [...features].reverse()) {
      helper(wire.near, 'feature', wire.near.device, feature, 'on');
    }
  }
}
