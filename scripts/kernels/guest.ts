// What runs in the guest: a sender behind each kind of card, a receiver behind another, each in a namespace of its
// own; and a part of the tests. Usage: node guest.js MODEL...
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { runCommand, tryCommand } from '../rig/commands';
import { RECEIVER, SENDERS } from './machine';
import { print } from './result';

const FAR = '192.0.2.1';
const TESTS = ['socket/core', 'socket/abort', 'socket/promises'];
const TEST_TIMEOUT_MS = '300000';
const CARD_DEADLINE_MS = 300_000;
const TESTS_DEADLINE_MS = 300_000;

function deviceOf(mac: string): string {
  const devices = readdirSync('/sys/class/net');
  const addressOf = (name: string): string =>
    readFileSync(`/sys/class/net/${name}/address`, 'utf8');
  const found = devices.find((name) => addressOf(name).trim() === mac);
  if (found === undefined) throw new Error(`no device has the address ${mac}`);
  return found;
}

/** Puts a card into a namespace of its own. @returns the device's name */
function place(netns: string, mac: string, address: string): string {
  const device = deviceOf(mac);
  runCommand(['ip', 'netns', 'add', netns]);
  runCommand(['ip', 'link', 'set', device, 'netns', netns]);
  const ip = ['ip', '-n', netns];
  for (const each of ['lo', device]) runCommand([...ip, 'link', 'set', each, 'up']);
  runCommand([...ip, 'addr', 'add', `${address}/24`, 'dev', device]);
  return device;
}

function start(netns: string, program: string, argv: readonly string[]): ChildProcess {
  const file = path.join(__dirname, `${program}.js`);
  const all = ['netns', 'exec', netns, process.execPath, file, ...argv];
  return spawn('ip', all, { stdio: ['ignore', program === 'far' ? 'pipe' : 'inherit', 'inherit'] });
}

async function overCards(models: readonly string[]): Promise<void> {
  place('far', RECEIVER.mac, FAR);
  const receiver = start('far', 'far', [FAR]);
  const [said] = (await once(receiver.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  const port = said.toString().trim();
  for (const [index, { model, mac }] of SENDERS.entries()) {
    if (!models.includes(model)) continue;
    const near = `192.0.2.${index + 2}`;
    const device = place(`near${index}`, mac, near);
    const sender = start(`near${index}`, 'near', [model, device, near, FAR, port]);
    const timer = setTimeout(() => sender.kill('SIGKILL'), CARD_DEADLINE_MS);
    const [code] = (await once(sender, 'close')) as [number | null];
    clearTimeout(timer);
    if (code === 0) continue;
    const detail = `the sender ended with ${code ?? 'a signal'}`;
    print({ device: model, way: 'plain', what: 'sender', outcome: 'WRONG', detail });
  }
  receiver.kill('SIGKILL');
}

async function tests(): Promise<void> {
  const root = path.join(__dirname, '../../..');
  const files = TESTS.map((name) => `dist/test/${name}.test.js`);
  const options = ['--no-config', '-r', './dist/test/setup.js', '-R', 'dot', '-t', TEST_TIMEOUT_MS];
  const argv = [path.join(root, 'node_modules/mocha/bin/mocha.js'), ...options, ...files];
  const child = spawn(process.execPath, argv, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  let stdout = '';
  child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
  const timer = setTimeout(() => child.kill('SIGKILL'), TESTS_DEADLINE_MS);
  const [code] = (await once(child, 'close')) as [number | null];
  clearTimeout(timer);
  const detail = /\d+ passing[^]*/.exec(stdout)?.[0] ?? stdout;
  const outcome = code === 0 ? 'right' : 'WRONG';
  print({
    device: 'lo',
    way: 'plain',
    what: 'tests',
    outcome,
    detail: detail.trim().slice(0, 1500),
  });
}

async function main(): Promise<void> {
  print({ device: 'none', way: 'plain', what: 'boot', outcome: 'right', detail: os.release() });
  const doctor = tryCommand([process.execPath, path.join(__dirname, '../cli.js'), 'doctor']);
  const [verdict = ''] = doctor.stdout.split('\n');
  print({ device: 'none', way: 'plain', what: 'doctor', outcome: 'right', detail: verdict });
  const models = process.argv.slice(2);
  await overCards(models);
  if (models.length === SENDERS.length) await tests();
}

main().catch((error: unknown) => {
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  print({ device: 'none', way: 'plain', what: 'guest', outcome: 'WRONG', detail });
  process.exitCode = 1;
});
