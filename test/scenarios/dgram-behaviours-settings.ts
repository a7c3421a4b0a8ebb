// Scenarios: socket options, buffer sizes and multicast.
import type dgram from 'node:dgram';
import { once } from 'node:events';
import {
  codeOf,
  type DgramKit,
  type DgramScenario,
  linkLocal,
  loose,
  outcomeOf,
  someTurns,
  told,
} from './dgram-behaviours-kit';

const TTLS = [1, 64, 255, 0, 256, 1000, -1, 1.5, 'x', '5', null, undefined, true, {}];
const SIZES = [-1, 1.5, NaN, Infinity, 2 ** 32, 'x', '5', null, undefined, {}, true, 2 ** 31, 1];
type Setter = 'setTTL' | 'setMulticastTTL' | 'setBroadcast' | 'setMulticastLoopback';

function values(socket: dgram.Socket, name: Setter, list: readonly unknown[]): unknown {
  return list.map((value) => {
    const call = loose(socket)[name] as (value: unknown) => unknown;
    const outcome = outcomeOf(() => call.call(socket, value));
    if (typeof outcome !== 'string') return outcome;
    return [outcome, call.call(socket, value)];
  });
}

async function settings(kit: DgramKit): Promise<unknown> {
  const socket = await kit.bound();
  return [
    values(socket, 'setTTL', TTLS),
    values(socket, 'setMulticastTTL', TTLS),
    values(socket, 'setBroadcast', [true, false, 1, 0, 'x', undefined]),
    values(socket, 'setMulticastLoopback', [true, false, 16, 0, 'x', undefined]),
  ];
}

async function beforeBind(kit: DgramKit): Promise<unknown> {
  const { localhost, group } = kit.family;
  const calls: ((socket: dgram.Socket) => unknown)[] = [
    (socket) => socket.setTTL(5),
    (socket) => socket.setBroadcast(true),
    (socket) => socket.setMulticastTTL(5),
    (socket) => socket.setMulticastLoopback(true),
    (socket) => socket.setMulticastInterface(kit.family.type === 'udp4' ? localhost : '::%lo'),
    (socket) => socket.getRecvBufferSize(),
    (socket) => socket.getSendBufferSize(),
    (socket) => socket.setRecvBufferSize(8192),
    (socket) => socket.setSendBufferSize(8192),
    (socket) => socket.getSendQueueSize(),
    (socket) => socket.getSendQueueCount(),
    (socket) => socket.dropMembership(group),
  ];
  return calls.map((call) => outcomeOf(() => call(kit.create())));
}

async function bufferSizes(kit: DgramKit): Promise<unknown> {
  const socket = await kit.bound();
  const story: unknown[] = [];
  for (const which of ['Recv', 'Send'] as const) {
    const set = loose(socket)[`set${which}BufferSize`].bind(socket);
    const get = socket[`get${which}BufferSize`].bind(socket);
    story.push(SIZES.map((size) => outcomeOf(() => set(size))));
    set(10_000);
    story.push(get());
    set(2 ** 31 - 1);
    story.push(get());
  }
  return story;
}

async function queue(kit: DgramKit): Promise<unknown> {
  const receiver = await kit.bound();
  const socket = await kit.connectedTo(receiver);
  const log: unknown[] = [];
  const look = (): void => void log.push(socket.getSendQueueSize(), socket.getSendQueueCount());
  look();
  await new Promise<void>((resolve) =>
    socket.send(Buffer.alloc(1000), () => {
      look();
      resolve();
    }),
  );
  socket.send(Buffer.alloc(1000));
  look();
  await someTurns();
  look();
  return log;
}

async function membership(kit: DgramKit): Promise<unknown> {
  const { group, groupInterface, localhost, wrong } = kit.family;
  const story: unknown[] = [];
  const groups = [undefined, null, '', 'x', '256.256.256.256', localhost, wrong];
  const interfaces = [groupInterface, 'x', '256.1.1.1', '198.51.100.9'];
  if (kit.family.type === 'udp6') interfaces.push('::%nope', '::%', '::%99', '::%lo%x');
  const calls: ((socket: dgram.Socket) => unknown)[] = [
    ...groups.flatMap((one) => [
      (socket: dgram.Socket) => loose(socket).addMembership(one),
      (socket: dgram.Socket) => loose(socket).dropMembership(one),
    ]),
    ...interfaces.map((one) => (socket: dgram.Socket) => socket.addMembership(group, one)),
    (socket) => socket.dropMembership(group, groupInterface),
  ];
  for (const call of calls) {
    const socket = await kit.bound();
    story.push(outcomeOf(() => call(socket)));
  }
  const socket = await kit.bound();
  for (const step of ['add', 'add', 'drop', 'drop', 'add'] as const) {
    const outcome = outcomeOf(() => socket[`${step}Membership`](group, groupInterface));
    story.push([step, outcome]);
  }
  return story;
}

async function sources(kit: DgramKit): Promise<unknown> {
  const { group, groupInterface, localhost } = kit.family;
  const story: unknown[] = [];
  const lists = [
    [],
    [localhost],
    [5, group],
    [localhost, 5],
    ['x', group],
    [localhost, 'x'],
    [localhost, localhost],
    [localhost, group, 'x'],
  ];
  for (const args of lists) {
    for (const name of ['addSourceSpecificMembership', 'dropSourceSpecificMembership'] as const) {
      const socket = await kit.bound();
      story.push([name, outcomeOf(() => loose(socket)[name](...args))]);
    }
  }
  const socket = await kit.bound();
  const steps = ['add', 'add', 'drop', 'drop'] as const;
  for (const step of steps) {
    const call = (): unknown =>
      socket[`${step}SourceSpecificMembership`](localhost, group, groupInterface);
    story.push([step, outcomeOf(call)]);
  }
  return story;
}

async function interfaces(kit: DgramKit): Promise<unknown> {
  const four = ['0.0.0.0', '127.0.0.1', '198.51.100.9', '239.1.1.1', '256.1.1.1', 'x', ''];
  const six = ['::', '::%lo', '::1', '::1%lo', 'fe80::1', 'x', '', '%lo'];
  // Zones that name no interface.
  six.push(
    'fe80::1%nope',
    '::%',
    '::%99',
    '::%1',
    '::%lo%x',
    '::% lo',
    '::%a-name-of-no-interface',
  );
  const story: unknown[] = [5, undefined, null, {}].map((one) =>
    outcomeOf(() => loose(kit.create()).setMulticastInterface(one)),
  );
  for (const address of kit.family.type === 'udp4' ? four : six) {
    const socket = await kit.bound();
    story.push([address, outcomeOf(() => socket.setMulticastInterface(address))]);
  }
  return story;
}

async function multicast(kit: DgramKit): Promise<unknown> {
  const { group, groupInterface, any } = kit.family;
  const receiver = kit.create({ reuseAddr: true });
  receiver.bind(0, any);
  await once(receiver, 'listening');
  receiver.addMembership(group, groupInterface);
  const sender = kit.create();
  sender.bind(0, any);
  await once(sender, 'listening');
  sender.setMulticastInterface(groupInterface);
  sender.setMulticastTTL(1);
  sender.setMulticastLoopback(true);
  const log: unknown[] = [];
  const arrived = kit.texts(receiver, 1);
  const { port } = receiver.address();
  const answer = await new Promise((resolve) => sender.send('to all', port, group, resolve));
  log.push(told(answer, port), await arrived);
  receiver.dropMembership(group, groupInterface);
  receiver.on('message', (message) => log.push(message.toString()));
  sender.send('after it left', port, group);
  await someTurns();
  sender.send('straight', port, kit.localhost);
  await once(receiver, 'message');
  return log;
}

async function joinsUnbound(kit: DgramKit): Promise<unknown> {
  const { group, groupInterface, any } = kit.family;
  const socket = kit.create();
  const log: unknown[] = [outcomeOf(() => socket.addMembership(group, groupInterface))];
  log.push(outcomeOf(() => socket.dropMembership(group, groupInterface)));
  const { address, port } = socket.address();
  log.push(address === any, port > 0);
  return log;
}

async function broadcast(kit: DgramKit): Promise<unknown> {
  const log: unknown[] = [];
  const receiver = kit.create();
  receiver.bind(0, kit.family.any);
  await once(receiver, 'listening');
  const { port } = receiver.address();
  const sender = await kit.bound();
  const send = (text: string): Promise<unknown> =>
    new Promise((resolve) => sender.send(text, port, '127.255.255.255', resolve));
  log.push(told(await send('not allowed'), port));
  sender.setBroadcast(true);
  const arrived = kit.texts(receiver, 1);
  log.push(told(await send('allowed'), port), await arrived);
  sender.setBroadcast(false);
  log.push(told(await send('not allowed'), port));
  return log;
}

async function zones(kit: DgramKit): Promise<unknown> {
  const address = linkLocal()?.address as string;
  const socket = kit.create();
  const log: unknown[] = [];
  socket.bind(0, address);
  await once(socket, 'listening');
  log.push(socket.address().address);
  const arrived = kit.receive(socket, 1);
  const { port } = socket.address();
  await new Promise((resolve) => socket.send('zone', port, address, resolve));
  const [message] = await arrived;
  log.push(message?.text, message?.rinfo.address);
  const other = kit.create();
  other.connect(port, address);
  await once(other, 'connect');
  log.push(other.remoteAddress().address, other.address().address);
  const unknown = await new Promise((resolve) =>
    socket.send('x', port, `${address.split('%')[0]}%nodevice`, resolve),
  );
  log.push(told(unknown, port));
  return log;
}

export const settingsScenarios: readonly DgramScenario[] = [
  { title: 'sets and refuses TTLs, broadcast and loopback', run: settings },
  { title: 'answers before it is bound', run: beforeBind },
  { title: 'sets and refuses buffer sizes', run: bufferSizes },
  { title: 'counts what waits to be sent', run: queue },
  { title: 'joins and leaves groups, and refuses invalid ones', run: membership },
  { title: 'joins and leaves groups of one source', run: sources },
  { title: 'sets and refuses interfaces for multicast', run: interfaces },
  {
    title: 'sends to a group and receives from it while it is a member',
    present: ({ type }) => type === 'udp4' || linkLocal() !== undefined,
    run: multicast,
  },
  { title: 'binds when it joins a group', run: joinsUnbound },
  { title: 'sends broadcasts only where allowed', families: ['udp4'], run: broadcast },
  {
    title: 'accepts and reports addresses with a zone',
    families: ['udp6'],
    present: () => linkLocal() !== undefined,
    run: zones,
  },
  {
    title: 'does not check arguments that a setter ignores',
    run: (kit) => [
      codeOf(() => loose(kit.create()).setTTL()),
      codeOf(() => loose(kit.create()).setMulticastTTL('x')),
    ],
  },
];
