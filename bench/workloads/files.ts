// A keep-alive http server of one file in the page cache: what one request costs the server's process.
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { canStart, runCommand } from '../../scripts/rig/commands';
import { formatSize, type BenchOptions, type Contestant } from '../options';
import type { Place, Places } from '../place';
import {
  runCase,
  runRounds,
  type Case,
  type CaseReport,
  type FurtherTarget,
  type Plan,
  type Report,
  type Target,
} from '../trials';
import { fileRound, fileTrial, type FileSetting } from './file-load';
import { burstSeconds } from './turns';
import { underLoadFigures } from './http';

const kib = 1024;
const mib = 1024 * kib;
const gib = 1024 * mib;
const defaultSizes = [4 * kib, 64 * kib, mib, 16 * mib, gib];
const defaultConnections = [8, 100];
/** So much the connections ask for together at most: the load generator waits for answers that are under way. */
const mostAtOnce = 16 * gib;
const figures = underLoadFigures.filter(({ key }) => key !== 'p99' && key !== 'load');

const settings = { engine: 'auto' } as const;
const plain: Contestant = { name: 'plain', kind: 'plain', file: 'pipe' };
const pipe: Contestant = { name: 'pipe', kind: 'upgraded', settings, file: 'pipe' };
const sendFile: Contestant = { name: 'sendFile', kind: 'upgraded', settings, file: 'sendFile' };

function nginx(): Contestant {
  const contestant: Contestant = { name: 'nginx', kind: 'plain', file: 'nginx' };
  if (canStart(['nginx', '-v'])) return contestant;
  return { ...contestant, missing: 'nginx is not installed (Debian: apt-get install nginx-light)' };
}

/** Shares of the CPU that the first contestant of a panel takes, by size of the file. */
type Bounds = Readonly<Record<number, number>>;

function boundsOf(...shares: readonly number[]): Bounds {
  return Object.fromEntries(shares.map((share, index) => [defaultSizes[index] as number, share]));
}

const bounds = {
  pipe: boundsOf(0.85, 0.8, 0.33, 0.16, 0.12),
  sendFile: boundsOf(0.5, 0.48, 0.25, 0.15, 0.12),
  framework: boundsOf(0.95, 0.9, 0.5, 0.22, 0.15),
  loopback: boundsOf(0.85, 0.8, 0.3, 0.15, 0.12),
};
/** Shares of nginx's CPU that sendFile() takes at most. */
const boundsBesideNginx: Bounds = { [64 * kib]: 2, [mib]: 1.5, [16 * mib]: 1.2 };
/** Requests per second, of plain Node's. */
const leastRates: Bounds = { [mib]: 2 };
/** From a disk, of plain Node's. */
const mostFromDisk = 0.8;
const leastRateFromDisk = 1;
/** More than a disk reads within a trial. */
const coldBytes = 2 * gib;

interface Panel {
  readonly title: string;
  readonly place: Place;
  readonly contestants: readonly Contestant[];
  readonly bounds: Readonly<Record<string, Bounds>>;
  /** By name: requests per second. */
  readonly rates?: Readonly<Record<string, Bounds>>;
}

function panelsOf(place: Place, places: Places): Panel[] {
  const ofFramework = (title: string, file: 'express' | 'fastify'): Panel => ({
    title,
    place,
    contestants: [
      { ...plain, file },
      { ...pipe, file },
    ],
    bounds: { pipe: bounds.framework },
  });
  const panels: Panel[] = [
    {
      title: 'createReadStream().pipe(response), sendFile()',
      place,
      contestants: [plain, pipe, sendFile, nginx()],
      bounds: { pipe: bounds.pipe, sendFile: bounds.sendFile },
      rates: { pipe: leastRates, sendFile: leastRates },
    },
    ofFramework('express.static', 'express'),
    ofFramework('@fastify/static', 'fastify'),
  ];
  if (place.name === 'loopback') return panels;
  const loopback: Panel = {
    title: 'loopback',
    place: places.loopback(),
    contestants: [plain, pipe, sendFile],
    bounds: { pipe: bounds.loopback },
  };
  return [...panels, loopback];
}

export async function files(options: BenchOptions, places: Places): Promise<Report> {
  const place = places.preferred();
  const warmup = options.warmup ?? 1.5;
  const plan: Plan = {
    workload: 'files',
    title: 'CPU of the server process per file',
    facts: { place: place.name, warmup, turns: burstSeconds, files: 'in the page cache' },
    figures,
    main: 'proc',
    alsoCompared: ['sys', 'rate'],
    compare: 'ratio',
    contestants: [plain, pipe, sendFile, nginx()],
    rounds: options.rounds,
  };
  const sizes = options.sizes ?? defaultSizes;
  const folder = mkdtempSync(path.join(os.tmpdir(), 'zc-bench-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  process.once('exit', remove);
  try {
    const cases: CaseReport[] = [];
    for (const panel of panelsOf(place, places)) {
      for (const connections of options.connections ?? defaultConnections) {
        for (const bytes of sizes.filter((size) => size * connections <= mostAtOnce)) {
          const file = writeFile(folder, bytes);
          const { seconds } = options;
          const setting = { file, bytes, connections, warmup, seconds };
          cases.push(await runPanel(plan, panel, setting));
        }
      }
    }
    if (sizes.includes(mib)) cases.push(await runCold(plan, options, place, folder));
    return { plan, cases };
  } finally {
    remove();
  }
}

async function runPanel(
  plan: Plan,
  { title, place, contestants, bounds: of, rates = {} }: Panel,
  setting: Omit<FileSetting, 'place'>,
): Promise<CaseReport> {
  const { bytes } = setting;
  const label = formatSize(bytes);
  const targets: Record<string, Target> = {};
  for (const [name, shares] of Object.entries(of)) {
    const most = shares[bytes];
    if (most !== undefined) targets[name] = { most };
  }
  const panel = `${title}, ${setting.connections} connections`;
  const ofSize = { ...plan, contestants };
  const further: Record<string, FurtherTarget[]> = {};
  for (const [name, least] of Object.entries(rates)) {
    if (least[bytes] === undefined) continue;
    further[name] = [{ what: 'requests/s', figure: 'rate', least: least[bytes] }];
  }
  const most = boundsBesideNginx[bytes];
  if (most !== undefined && contestants.some(({ name }) => name === 'nginx')) {
    const beside = { what: 'of nginx', figure: 'proc', beside: 'nginx', most };
    further['sendFile'] = [...(further['sendFile'] ?? []), beside];
  }
  return runRounds(ofSize, { label, panel, bytes, targets, further }, (taking) =>
    fileRound({ ...setting, place }, taking),
  );
}

/** Slices of a file that is not in memory: each is sent once. */
async function runCold(
  plan: Plan,
  { seconds }: BenchOptions,
  place: Place,
  folder: string,
): Promise<CaseReport> {
  const file = writeFile(folder, coldBytes);
  const slices = coldBytes / mib;
  const label = formatSize(mib);
  const setting = { place, file, bytes: mib, slices, connections: 8, warmup: 0.3, seconds };
  const rate = { what: 'requests/s', figure: 'rate', least: leastRateFromDisk };
  const one: Case = {
    ...{ label, panel: 'from a disk, 8 connections', bytes: mib },
    targets: { pipe: { most: mostFromDisk }, sendFile: { most: mostFromDisk } },
    further: { pipe: [rate], sendFile: [rate] },
  };
  const contestants = [plain, pipe, sendFile];
  return runCase({ ...plan, contestants }, one, (contestant) => {
    forget(file);
    return fileTrial(setting, contestant);
  });
}

/** The page cache drops what it has of a file. */
function forget(file: string): void {
  const nothing = ['if=/dev/null', 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'];
  runCommand(['dd', ...nothing, `of=${file}`]);
}

/** Written once, and then in the page cache. Its name is what every server answers with. */
function writeFile(folder: string, bytes: number): string {
  const own = path.join(folder, String(bytes));
  const file = path.join(own, 'index.html');
  if (!existsSync(own)) {
    mkdirSync(own);
    const part = Buffer.alloc(Math.min(bytes, mib), 'file');
    const descriptor = openSync(file, 'w');
    for (let left = bytes; left > 0; left -= part.length) {
      writeSync(descriptor, part, 0, Math.min(left, part.length));
    }
    fsyncSync(descriptor);
    closeSync(descriptor);
  }
  return file;
}
