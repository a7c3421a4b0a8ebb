// `npm run demo`: an http server with 1 MiB responses, plain and upgraded by one line, against an
// ordinary client. As root on the real zero-copy rig, else on loopback.
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { ClientTotals } from './demo/client.js';
import type { ServerTotals } from './demo/server.js';
import { Rig, rigUnavailable } from './rig.js';

const CONNECTIONS = 4;
const RESPONSES = 600;
const WARM_UP_RESPONSES = 64;
const ROUNDS = 3;

type Kind = 'plain' | 'upgraded';

interface Trial extends ServerTotals, ClientTotals {}

/** Where the demo runs: how to start a process at either end, and the server's address. */
interface Place {
  readonly name: string;
  readonly address: string;
  start(side: 'sender' | 'receiver', argv: readonly string[], options: SpawnOptions): ChildProcess;
  close(): void;
}

function choosePlace(): Place {
  const unavailable = rigUnavailable();
  if (unavailable !== undefined) {
    console.log(`No rig here: ${unavailable.reason}. ${unavailable.remedy}. Using loopback.`);
    return {
      name: 'loopback',
      address: '127.0.0.1',
      start: (_side, argv, options) => spawn(argv[0] as string, argv.slice(1), options),
      close: () => undefined,
    };
  }
  const rig = Rig.up();
  return {
    name: 'rig',
    address: rig.sender.address4,
    start: (side, argv, options) => rig.spawn(side, argv, options),
    close: () => rig.down(),
  };
}

const program = (name: string): string => path.join(__dirname, 'demo', `${name}.js`);

async function runClient(place: Place, port: number, responses: number): Promise<ClientTotals> {
  const argv = [place.address, port, responses, CONNECTIONS].map(String);
  const client = place.start('receiver', [process.execPath, program('client'), ...argv], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  client.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(client, 'close')) as [number];
  if (code !== 0) throw new Error(`the client failed with exit status ${code}`);
  return JSON.parse(output) as ClientTotals;
}

async function trial(place: Place, kind: Kind): Promise<Trial> {
  const server = place.start('sender', [process.execPath, program('server'), kind, place.address], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  try {
    const [{ port }] = (await once(server, 'message')) as [{ port: number }];
    await runClient(place, port, WARM_UP_RESPONSES);
    server.send('start');
    const client = await runClient(place, port, RESPONSES);
    server.send('stop');
    const [totals] = (await once(server, 'message')) as [ServerTotals];
    return { ...totals, ...client };
  } finally {
    if (server.exitCode === null && server.connected) server.kill();
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] as number;
}

function summarise(trials: readonly Trial[]): Record<string, string> {
  const sum = (pick: (t: Trial) => number): number => trials.reduce((s, t) => s + pick(t), 0);
  const sends = sum((t) => t.zeroCopySends);
  const copied = sum((t) => t.kernelCopiedSends);
  const unknown = sum((t) => t.unknownSends);
  const perGigabyte = median(trials.map((t) => (t.cpuSeconds / t.bytes) * 1e9));
  return {
    responses: String(sum((t) => t.responses)),
    bytes: `${(sum((t) => t.bytes) / 2 ** 20).toFixed(0)} MiB`,
    'hash check': sum((t) => t.wrong) === 0 ? 'all right' : `${sum((t) => t.wrong)} WRONG`,
    'sends without a copy': String(sends - copied - unknown),
    'sends copied by the kernel': String(copied),
    'sends reported together (unknown)': String(unknown),
    'bytes copied by choice': `${(sum((t) => t.copiedBytes) / 2 ** 20).toFixed(0)} MiB`,
    'server CPU per GB': `${perGigabyte.toFixed(3)} s`,
  };
}

function explain(place: Place, upgraded: readonly Trial[], ratio: number): string {
  const reason = upgraded.find((t) => t.reason !== undefined)?.reason;
  if (reason === 'kernel-copied' && place.name === 'loopback') {
    return "Loopback always copies, so zero copy paused itself: reason 'kernel-copied'.";
  }
  if (reason === 'kernel-copied') {
    return "The kernel copied after all (is a packet capture running?): reason 'kernel-copied'.";
  }
  if (reason !== undefined) return `Zero copy is off here: reason '${reason}'.`;
  const percent = Math.abs((1 - ratio) * 100).toFixed(0);
  return ratio < 1
    ? `The kernel sent from the server's own memory: ${percent} % less server CPU per byte here.`
    : "The kernel sent from the server's own memory, but that cost " +
        `${percent} % more server CPU per byte in this run: a busy machine, or copying is cheap here.`;
}

function print(plain: Record<string, string>, upgraded: Record<string, string>): void {
  const names = Object.keys(plain);
  const width = Math.max(...names.map((name) => name.length));
  console.log(`${''.padEnd(width)}  ${'plain Node'.padStart(14)}  ${'upgraded'.padStart(14)}`);
  for (const name of names) {
    const [a, b] = [plain[name] as string, upgraded[name] as string];
    const none = name.startsWith('sends') || name.startsWith('bytes copied') ? '-' : a;
    console.log(`${name.padEnd(width)}  ${none.padStart(14)}  ${b.padStart(14)}`);
  }
}

async function main(): Promise<void> {
  const place = choosePlace();
  const trials: Record<Kind, Trial[]> = { plain: [], upgraded: [] };
  try {
    console.log(`http server with 1 MiB responses, ${CONNECTIONS} connections, on ${place.name}`);
    for (let round = 0; round < ROUNDS; round++) {
      for (const kind of ['plain', 'upgraded'] as const) {
        trials[kind].push(await trial(place, kind));
      }
    }
  } finally {
    place.close();
  }
  const ratios = trials.upgraded.map(
    (t, i) => t.cpuSeconds / t.bytes / ((trials.plain[i] as Trial).cpuSeconds / t.bytes),
  );
  print(summarise(trials.plain), summarise(trials.upgraded));
  console.log(`\n${explain(place, trials.upgraded, median(ratios))}`);
  const all = [...trials.plain, ...trials.upgraded];
  const right = all.every((t) => t.wrong === 0 && t.responses >= RESPONSES);
  if (!right) process.exitCode = 1;
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
