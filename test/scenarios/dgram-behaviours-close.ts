// Scenarios: closing, and what a closed socket answers.
import type dgram from 'node:dgram';
import { once } from 'node:events';
import {
  codeOf,
  type DgramKit,
  type DgramScenario,
  loose,
  lookupOf,
  outcomeOf,
  someTurns,
} from './dgram-behaviours-kit';

async function closedDuringLookup(kit: DgramKit): Promise<unknown> {
  const log: string[] = [];
  for (const answer of [kit.localhost, new Error('late')]) {
    const socket = kit.create({ lookup: lookupOf(answer, 'later') } as dgram.SocketOptions);
    for (const event of ['listening', 'error', 'close']) socket.on(event, () => log.push(event));
    socket.bind(0, 'some.name', () => log.push('bind callback'));
    socket.close(() => log.push('close callback'));
    log.push('returned');
    await someTurns();
  }
  const plain = kit.create();
  for (const event of ['listening', 'error', 'close']) plain.on(event, () => log.push(event));
  plain.bind(0, kit.localhost);
  plain.close();
  await someTurns();
  return log;
}

async function eventOrder(kit: DgramKit): Promise<unknown> {
  const log: string[] = [];
  const socket = kit.create();
  socket.on('listening', () => log.push('listening, before'));
  socket.bind(0, kit.localhost, () => log.push('callback'));
  socket.on('listening', () => log.push('listening, after'));
  socket.on('close', () => log.push('close, before'));
  log.push('returned');
  process.nextTick(() => log.push('tick'));
  await once(socket, 'listening');
  const closed = once(socket, 'close');
  socket.close(() => log.push('close callback'));
  log.push('close returned');
  await closed;
  await someTurns();
  return log;
}

async function closing(kit: DgramKit): Promise<unknown> {
  const log: unknown[] = [];
  const socket = await kit.bound();
  socket.on('close', (...args) => log.push(['close', args]));
  const chained = loose(socket).close('no callback') === socket;
  log.push(
    chained,
    codeOf(() => socket.close()),
  );
  await once(socket, 'close');
  const called = { close: 0 };
  const other = kit.create();
  other.close(function (this: unknown) {
    if (this === other) called.close++;
  });
  await once(other, 'close');
  return [log, called];
}

/** What a closed socket answers where Node answers by a code. */
async function afterClose(kit: DgramKit): Promise<unknown> {
  const { group, localhost } = kit.family;
  const socket = await kit.bound();
  socket.close();
  const calls: (() => unknown)[] = [
    () => socket.close(),
    () => socket.bind(0),
    () => socket.send('x', 9, localhost),
    () => socket.send('x', 9, localhost, () => undefined),
    () => loose(socket).send(5, 9, localhost),
    () => socket.send('x', 0, localhost),
    () => socket.address(),
    () => socket.remoteAddress(),
    () => socket.setMulticastInterface(localhost),
    () => socket.addMembership(group),
    () => socket.dropMembership(group),
    () => socket.addSourceSpecificMembership(localhost, group),
    () => socket.dropSourceSpecificMembership(localhost, group),
    () => socket.disconnect(),
    () => loose(socket).setTTL('x'),
  ];
  const story = calls.map((call) => outcomeOf(call));
  const unbound = kit.create();
  unbound.close();
  story.push(outcomeOf(() => unbound.connect(9, localhost)));
  story.push(socket.ref() === socket && socket.unref() === socket);
  await once(unbound, 'close');
  return story;
}

export const closingScenarios: readonly DgramScenario[] = [
  { title: 'closes silently during a lookup', run: closedDuringLookup },
  { title: 'fires listening, callbacks and close in order', run: eventOrder },
  { title: 'closes once, and calls back', run: closing },
  { title: 'throws with a code once it is closed', run: afterClose },
  {
    title: 'closes in its listening event',
    run: async (kit) => {
      const log: string[] = [];
      const socket = kit.create();
      socket.on('listening', () => {
        log.push('listening');
        socket.close();
      });
      socket.on('close', () => log.push('close'));
      socket.bind(0, kit.localhost);
      await once(socket, 'close');
      return log;
    },
  },
  {
    title: 'closes by async dispose, also twice and unbound',
    run: async (kit) => {
      const log: unknown[] = [];
      for (const socket of [await kit.bound(), kit.create()]) {
        socket.on('close', () => log.push('close'));
        log.push(await socket[Symbol.asyncDispose]());
        log.push(await socket[Symbol.asyncDispose]());
        log.push(codeOf(() => socket.close()));
      }
      return log;
    },
  },
];
