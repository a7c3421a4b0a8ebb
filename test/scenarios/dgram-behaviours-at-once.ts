// Scenarios: bindSync() and connectSync(), which node:dgram has since Node 24.21.
import dgram from 'node:dgram';
import { once } from 'node:events';
import { BlockList } from 'node:net';
import type { UdpBindSyncOptions } from '../../lib/index';
import {
  codeOf,
  type DgramKit,
  type DgramScenario,
  outcomeOf,
  someTurns,
  told,
} from './dgram-behaviours-kit';

type AtOnce = dgram.Socket & {
  bindSync(options?: UdpBindSyncOptions): { address: string; port: number };
  connectSync(port: number, address?: string): void;
};

function make(kit: DgramKit, options: object = {}): AtOnce {
  return kit.create(options) as AtOnce;
}

/** What happens to `socket` from now on. */
function eventsOf(socket: dgram.Socket): unknown[] {
  const log: unknown[] = [];
  for (const event of ['listening', 'connect', 'close']) socket.on(event, () => log.push(event));
  socket.on('error', (error) => log.push(told(error)));
  return log;
}

async function bound(kit: DgramKit): Promise<unknown> {
  const socket = make(kit);
  const log = eventsOf(socket);
  const { address, port } = socket.bindSync({ address: kit.localhost });
  log.push(address, port === socket.address().port, 'returned');
  log.push(outcomeOf(() => socket.bindSync()));
  log.push(outcomeOf(() => socket.bind()));
  // What is sent now does not wait for the event.
  const peer = make(kit);
  const arrived = kit.texts(socket, 1);
  peer.send('x', port, kit.localhost);
  log.push(await arrived);
  for (const options of [undefined, {}, { port: undefined }, { address: '' }]) {
    log.push(make(kit).bindSync(options).address);
  }
  return log;
}

async function connected(kit: DgramKit): Promise<unknown> {
  const peer = await kit.bound();
  const { port } = peer.address();
  const arrived = kit.texts(peer, 2);
  const socket = make(kit);
  const log = eventsOf(socket);
  socket.connectSync(port);
  log.push(socket.remoteAddress().address, socket.address().port > 0, 'returned');
  log.push(outcomeOf(() => socket.connectSync(port)));
  log.push(outcomeOf(() => socket.connect(port)));
  socket.send('1');
  await someTurns();
  socket.disconnect();
  socket.connectSync(port, kit.localhost);
  socket.send('2');
  await someTurns();
  return [log, (await arrived).sort()];
}

function refusedBinds(kit: DgramKit): unknown {
  const given: unknown[] = [null, 5, [], { port: -1 }, { port: 65_536 }, { port: 'x' }];
  const more = [{ address: 5 }, { address: 'some.name' }, { address: kit.family.wrong }];
  return [...given, ...more, { address: kit.family.absent }].map((options) => {
    const socket = make(kit);
    const refused = outcomeOf(() => socket.bindSync(options as object));
    // It is unbound, and may try again.
    return [refused, codeOf(() => socket.bindSync({ address: kit.localhost }))];
  });
}

async function takenPort(kit: DgramKit): Promise<unknown> {
  const { port } = (await kit.bound()).address();
  const socket = make(kit);
  const log = eventsOf(socket);
  log.push(outcomeOf(() => socket.bindSync({ port, address: kit.localhost }), port));
  await someTurns();
  log.push(socket.bindSync({ port: 0, address: kit.localhost }).port === port);
  await someTurns();
  return log;
}

async function refusedConnects(kit: DgramKit): Promise<unknown> {
  const { port } = (await kit.bound()).address();
  const list = new BlockList();
  list.addAddress(kit.localhost, kit.family.type === 'udp4' ? 'ipv4' : 'ipv6');
  const given = [[], [0], [port, 5], [port, 'some.name'], [port, kit.family.wrong]];
  const story = given.map((args) => {
    const socket = make(kit);
    const refused = outcomeOf(() => socket.connectSync(args[0] as number, args[1] as string), port);
    return [refused, codeOf(() => socket.connectSync(port))];
  });
  const blocked = make(kit, { sendBlockList: list });
  return [...story, outcomeOf(() => blocked.connectSync(port, kit.localhost))];
}

async function inBetween(kit: DgramKit): Promise<unknown> {
  const { port } = (await kit.bound()).address();
  const [closed, binding, connecting] = [make(kit), make(kit), make(kit)];
  const log = [eventsOf(closed), eventsOf(binding), eventsOf(connecting)];
  closed.connectSync(port);
  closed.close();
  log.push([codeOf(() => closed.bindSync()), codeOf(() => closed.connectSync(port))]);
  binding.bind(0, kit.localhost);
  log.push([outcomeOf(() => binding.bindSync()), outcomeOf(() => binding.connectSync(port))]);
  connecting.connect(port, kit.localhost);
  log.push([outcomeOf(() => connecting.connectSync(port))]);
  await once(connecting, 'connect');
  await someTurns();
  return log;
}

function isPresent(): boolean {
  return 'bindSync' in dgram.Socket.prototype;
}

export const atOnce: readonly DgramScenario[] = [
  { title: 'binds at once', present: isPresent, run: bound },
  { title: 'connects at once', present: isPresent, run: connected },
  { title: 'refuses addresses to bind to at once', present: isPresent, run: refusedBinds },
  { title: 'throws of a port in use, and binds again', present: isPresent, run: takenPort },
  { title: 'refuses addresses to connect to at once', present: isPresent, run: refusedConnects },
  { title: 'knows what happens before and after, at once', present: isPresent, run: inBetween },
];
