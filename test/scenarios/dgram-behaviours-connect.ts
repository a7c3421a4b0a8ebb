// Scenarios: connected sockets.
import type dgram from 'node:dgram';
import { once } from 'node:events';
import {
  codeOf,
  type DgramKit,
  type DgramScenario,
  loose,
  lookupOf,
  outcomeOf,
  silentPort,
  someTurns,
  told,
} from './dgram-behaviours-kit';

const BAD_PORTS = [
  undefined,
  null,
  '',
  'x',
  true,
  0,
  -1,
  65_536,
  1.5,
  NaN,
  Infinity,
  {},
  [],
  '-1',
  ' ',
];

/** How late a refusal on loopback may be. */
const REFUSAL_MS = 20;

async function connecting(kit: DgramKit): Promise<unknown> {
  const log: unknown[] = [];
  const peer = await kit.bound();
  const { port } = peer.address();
  const socket = kit.create();
  socket.on('listening', () => log.push('listening'));
  socket.on('connect', () => log.push('connect'));
  log.push(
    outcomeOf(() => socket.remoteAddress()),
    outcomeOf(() => socket.disconnect()),
  );
  log.push(loose(socket).connect(port, kit.localhost, () => log.push('callback')));
  log.push(
    outcomeOf(() => socket.connect(port)),
    outcomeOf(() => socket.disconnect()),
  );
  // Not connected yet: a send needs a port.
  log.push(outcomeOf(() => socket.send('x')));
  await once(socket, 'connect');
  log.push(
    outcomeOf(() => socket.connect(port)),
    codeOf(() => socket.bind(0)),
  );
  const { address, family, port: itsPort } = socket.remoteAddress();
  log.push(address, family, itsPort === port, socket.address().address);
  log.push(
    outcomeOf(() => socket.send('x', port)),
    outcomeOf(() => socket.send('x', port, address)),
  );
  log.push(outcomeOf(() => socket.send('x', 0, 1, port, address)));
  socket.disconnect();
  log.push(
    outcomeOf(() => socket.disconnect()),
    outcomeOf(() => socket.remoteAddress()),
  );
  log.push(outcomeOf(() => socket.send('x')));
  socket.connect(port);
  await once(socket, 'connect');
  log.push(socket.remoteAddress().address);
  return log;
}

async function afterBind(kit: DgramKit): Promise<unknown> {
  const log: unknown[] = [];
  const peer = await kit.bound();
  const { port } = peer.address();
  const socket = kit.create();
  socket.bind(0, kit.localhost, () => log.push('bound'));
  // While it binds: waits for that.
  socket.connect(port, kit.localhost, () => log.push('connected'));
  await once(socket, 'connect');
  const arrived = kit.receive(peer, 1);
  socket.send('x');
  const [message] = await arrived;
  log.push(message?.rinfo.port === socket.address().port);
  return log;
}

async function failing(kit: DgramKit): Promise<unknown> {
  const story: unknown[] = [];
  const failure = Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
  for (const when of ['at once', 'later'] as const) {
    const lookup = lookupOf(failure, when);
    const socket = await kit.bound(); // its bind needs a lookup that works
    socket.close();
    const other = kit.create({ lookup } as dgram.SocketOptions);
    other.on('error', (error) => story.push(['event', error === failure]));
    // The implicit bind fails first, and nothing else is told.
    other.connect(9, 'name.invalid', (...args: unknown[]) => story.push(['callback', args[0]]));
    await someTurns();
    story.push(other.listenerCount('connect'));
  }
  const wrong = kit.create();
  await new Promise<void>((resolve) => {
    loose(wrong).connect(9, kit.family.wrong, (error: unknown) => {
      story.push(told(error, 9), wrong.listenerCount('connect'));
      resolve();
    });
  });
  const failed = once(wrong, 'error') as Promise<[Error]>;
  wrong.connect(9, kit.family.wrong);
  story.push(told((await failed)[0], 9));
  // And it can be connected all the same.
  const peer = await kit.bound();
  wrong.connect(peer.address().port, kit.localhost);
  await once(wrong, 'connect');
  return story;
}

async function refused(kit: DgramKit): Promise<unknown> {
  const port = await silentPort(kit);
  const socket = kit.create();
  socket.connect(port, kit.localhost);
  await once(socket, 'connect');
  const log: unknown[] = [];
  const failed = once(socket, 'error') as Promise<[Error]>;
  socket.send('anybody?', (error, bytes) => log.push(told(error), bytes));
  log.push(told((await failed)[0], port));
  // The error was told once; the socket goes on.
  await new Promise<void>((resolve) =>
    socket.send('again', (error) => resolve(void log.push(told(error)))),
  );
  await once(socket, 'error');
  socket.disconnect();
  const peer = await kit.bound();
  const arrived = kit.texts(peer, 1);
  socket.send('works', peer.address().port, kit.localhost);
  log.push(await arrived);
  return log;
}

async function refusedNext(kit: DgramKit): Promise<unknown> {
  const socket = kit.create();
  socket.connect(await silentPort(kit), kit.localhost);
  await once(socket, 'connect');
  const log: unknown[] = [];
  socket.on('error', (error) => log.push(['event', told(error)]));
  await new Promise<void>((resolve) => {
    socket.send('first', (error) => {
      log.push(told(error));
      // The refusal is there already, unless ksoftirqd has to bring it, and the next system call of any
      // kind is told: so the loop does not turn meanwhile.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, REFUSAL_MS);
      socket.send('second', (again, ...rest) => {
        log.push(told(again), rest.length);
        resolve();
      });
    });
  });
  await someTurns();
  return log;
}

async function unconnectedRefusal(kit: DgramKit): Promise<unknown> {
  const port = await silentPort(kit);
  const log: unknown[] = [];
  const socket = await kit.bound();
  socket.on('error', (error) => log.push(told(error)));
  for (let i = 0; i < 3; i++) {
    await new Promise<void>((resolve) =>
      socket.send('x', port, kit.localhost, (error, bytes) => {
        log.push(told(error), bytes);
        resolve();
      }),
    );
  }
  await someTurns();
  return log;
}

async function hearsPeerOnly(kit: DgramKit): Promise<unknown> {
  const peer = await kit.bound();
  const stranger = await kit.bound();
  const socket = await kit.connectedTo(peer);
  const { port } = socket.address();
  const arrived = kit.texts(socket, 1);
  await new Promise((resolve) => stranger.send('stranger', port, kit.localhost, resolve));
  peer.send('peer', port, kit.localhost);
  return arrived;
}

export const connected: readonly DgramScenario[] = [
  { title: 'connects, disconnects, and reports its state', run: connecting },
  { title: 'connects while it binds', run: afterBind },
  { title: 'reports a failed connect to its callback, else by an event', run: failing },
  { title: 'reports a refusal by an event', run: refused },
  { title: 'reports a refusal to the next send', run: refusedNext },
  { title: 'gets no refusals unless it is connected', run: unconnectedRefusal },
  { title: 'receives from its peer only', run: hearsPeerOnly },
  {
    title: 'refuses wrong ports',
    run: (kit) => BAD_PORTS.map((port) => outcomeOf(() => loose(kit.create()).connect(port))),
  },
  {
    title: 'refuses addresses of another type',
    run: (kit) =>
      [null, 5, true, {}, []].map((address) =>
        outcomeOf(() => loose(kit.create()).connect(9, address)),
      ),
  },
];
