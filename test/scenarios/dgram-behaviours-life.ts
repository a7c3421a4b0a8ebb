// Scenarios: what keeps a process alive, whose context listeners run in, and inherited descriptors.
import { AsyncLocalStorage } from 'node:async_hooks';
import { spawn } from 'node:child_process';
import dgram from 'node:dgram';
import { on, once } from 'node:events';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { type DgramKit, type DgramScenario, silentPort, someTurns } from './dgram-behaviours-kit';
import { uncaughtDuring } from '../helpers/uncaught';

/** Which of the ways to hold and let go of the loop leave the process alive: it tells by a timer. */
async function holding(kit: DgramKit): Promise<unknown> {
  const story: unknown[] = [];
  for (const way of ['created', 'bound', 'unref', 'unref early', 'ref again', 'closed']) {
    const { code, answer, stderr } = await kit.isolated<string>(
      ({ zc }) => {
        const { DGRAM_FLAVOUR, DGRAM_TYPE, DGRAM_LOCALHOST, DGRAM_WAY } = process.env;
        // eslint-disable-next-line @typescript-eslint/no-require-imports
        const core = require('node:dgram') as typeof import('node:dgram');
        const create = (DGRAM_FLAVOUR === 'node:dgram'
          ? core.createSocket
          : zc.createUdpSocket) as unknown as typeof core.createSocket;
        const socket = create(DGRAM_TYPE as 'udp4');
        if (DGRAM_WAY === 'unref early') socket.unref();
        if (DGRAM_WAY !== 'created') socket.bind(0, DGRAM_LOCALHOST);
        socket.on('listening', () => {
          if (DGRAM_WAY === 'unref') socket.unref();
          if (DGRAM_WAY === 'ref again') socket.unref().ref();
          if (DGRAM_WAY === 'closed') socket.close();
        });
        return new Promise((resolve) => {
          const held = (): void => {
            resolve('held the process');
            socket.close();
          };
          setTimeout(held, 200).unref();
        });
      },
      { DGRAM_WAY: way },
    );
    story.push([way, code, answer ?? 'ended', stderr]);
  }
  return story;
}

/** A send's callback comes also where nothing else keeps the process, and the process ends. */
async function endsAfterSend(kit: DgramKit): Promise<unknown> {
  const receiver = await kit.bound();
  const arrived = kit.texts(receiver, 3);
  const ended = await kit.isolated<unknown[]>(
    async ({ zc }) => {
      const { DGRAM_FLAVOUR, DGRAM_TYPE, DGRAM_LOCALHOST, DGRAM_PORT } = process.env;
      // eslint-disable-next-line @typescript-eslint/no-require-imports
      const core = require('node:dgram') as typeof import('node:dgram');
      const create = (DGRAM_FLAVOUR === 'node:dgram'
        ? core.createSocket
        : zc.createUdpSocket) as unknown as typeof core.createSocket;
      const answers: unknown[] = [];
      const port = Number(DGRAM_PORT);
      const socket = create(DGRAM_TYPE as 'udp4');
      socket.unref();
      socket.send('1', port, DGRAM_LOCALHOST);
      answers.push(
        await new Promise((resolve) =>
          socket.send('2', port, DGRAM_LOCALHOST, (error, bytes) => resolve([error, bytes])),
        ),
      );
      await new Promise((resolve) =>
        socket.send(Buffer.alloc(50_000), port, DGRAM_LOCALHOST, resolve),
      );
      return answers;
    },
    { DGRAM_PORT: String(receiver.address().port) },
  );
  return [ended, (await arrived).map(({ length }) => length)];
}

/** A socket that another process bound and left in descriptor 3. */
async function inherited(kit: DgramKit): Promise<unknown> {
  const bound = kit.own(dgram.createSocket(kit.family.type));
  bound.bind(0, kit.localhost);
  await once(bound, 'listening');
  const { port } = bound.address();
  const { fd } = (bound as unknown as { _handle: { fd: number } })._handle;
  const script = `
    const { DGRAM_FLAVOUR, DGRAM_TYPE } = process.env;
    const create = DGRAM_FLAVOUR === 'node:dgram' ? require('node:dgram').createSocket
      : require(process.argv[1]).createUdpSocket;
    const socket = create(DGRAM_TYPE);
    socket.on('message', (message, rinfo) => {
      socket.send('heard ' + message, rinfo.port, rinfo.address, () => socket.close());
    });
    socket.bind({ fd: 3 }, () => process.stdout.write(JSON.stringify(socket.address())));
  `;
  const library = path.join(__dirname, '../../lib/index.js');
  const child = spawn(process.execPath, ['-e', script, library], {
    stdio: ['ignore', 'pipe', 'inherit', fd],
    env: { ...process.env, DGRAM_FLAVOUR: kit.flavour.name, DGRAM_TYPE: kit.family.type },
  });
  const exited = once(child, 'exit');
  const [said] = (await Promise.race([once(child.stdout as Readable, 'data'), exited])) as [Buffer];
  const address = JSON.parse(said.toString()) as { port: number };
  // It is the other process's turn to receive.
  await new Promise<void>((resolve) => bound.close(() => resolve()));
  const socket = await kit.bound();
  const arrived = kit.texts(socket, 1);
  socket.send('it', port, kit.localhost);
  const answer = await arrived;
  return [address.port === port, { ...address, port: 0 }, answer, (await exited)[0]];
}

async function contexts(kit: DgramKit): Promise<unknown> {
  const storage = new AsyncLocalStorage<string>();
  const log: unknown[] = [];
  const note = (what: string): void => void log.push([what, storage.getStore() ?? 'nobody']);
  const receiver = storage.run('receiver created', () => kit.create());
  storage.run('listeners added', () => {
    receiver.on('message', (message) => note(`message ${message}`));
    receiver.on('listening', () => note('listening'));
    receiver.on('close', () => note('close'));
  });
  const listening = once(receiver, 'listening');
  storage.run('bind called', () => receiver.bind(0, kit.localhost, () => note('bind callback')));
  await listening;
  const { port } = receiver.address();
  const socket = storage.run('sender created', () => kit.create());
  const sent: Promise<unknown>[] = [];
  const send = (name: string, ...args: unknown[]): void => {
    storage.run(`${name} called`, () => {
      sent.push(
        new Promise<void>((resolve) =>
          (socket.send as (...all: unknown[]) => void)(name, ...args, () => {
            note(`${name} callback`);
            resolve();
          }),
        ),
      );
    });
  };
  send('first', port, kit.localhost);
  await Promise.all(sent);
  send('second', port, kit.localhost);
  send('third', port, kit.localhost);
  await Promise.all(sent);
  storage.run('fails', () => {
    socket.send(Buffer.alloc(90_000), port, kit.localhost, () => note('failed callback'));
  });
  await someTurns();
  const connected = once(socket, 'connect');
  storage.run('connect called', () => socket.connect(port, kit.localhost, () => note('connected')));
  await connected;
  send('fourth');
  await Promise.all(sent);
  await someTurns();
  const closed = once(receiver, 'close');
  storage.run('close called', () => receiver.close());
  await closed;
  return log;
}

async function errorContext(kit: DgramKit): Promise<unknown> {
  const storage = new AsyncLocalStorage<string>();
  const port = await silentPort(kit);
  const socket = storage.run('created', () => kit.create());
  storage.run('connect called', () => socket.connect(port, kit.localhost));
  await once(socket, 'connect');
  const store = new Promise((resolve) => socket.once('error', () => resolve(storage.getStore())));
  storage.run('send called', () => socket.send('x'));
  return (await store) ?? 'nobody';
}

async function uncaughtEvent(kit: DgramKit): Promise<unknown> {
  const port = await silentPort(kit);
  const errors = await uncaughtDuring(async () => {
    const socket = kit.create();
    socket.connect(port, kit.localhost);
    await once(socket, 'connect');
    socket.send('x');
    await someTurns();
  });
  return errors.map((error) => [(error as NodeJS.ErrnoException).code, (error as Error).message]);
}

async function iterated(kit: DgramKit): Promise<unknown> {
  const receiver = await kit.bound();
  const socket = await kit.connectedTo(receiver);
  const texts: string[] = [];
  const controller = new AbortController();
  const events = on(receiver, 'message', { signal: controller.signal });
  for (const text of ['a', 'b', 'c']) socket.send(text);
  for await (const [message] of events as AsyncIterable<[Buffer]>) {
    if (texts.push(message.toString()) === 3) break;
  }
  return texts;
}

async function patchedEmit(kit: DgramKit): Promise<unknown> {
  const log: string[] = [];
  const receiver = kit.create();
  const { emit } = receiver;
  receiver.emit = function (this: unknown, ...args: unknown[]): boolean {
    log.push(String(args[0]));
    return (emit as (...all: unknown[]) => boolean).apply(this, args);
  } as typeof receiver.emit;
  receiver.bind(0, kit.localhost);
  await once(receiver, 'listening');
  const socket = await kit.connectedTo(receiver);
  socket.send('x');
  await once(receiver, 'message');
  receiver.close();
  await once(receiver, 'close');
  return log.filter((event) => event !== 'removeListener' && event !== 'newListener');
}

export const life: readonly DgramScenario[] = [
  { title: 'keeps the process alive while it is bound and referenced', run: holding },
  { title: 'does not keep a process alive after sending', run: endsAfterSend },
  {
    title: 'accepts a socket that another process bound',
    // The only way to a descriptor of Node's own.
    present: () => '_handle' in dgram.Socket.prototype,
    run: inherited,
  },
  { title: 'runs listeners and callbacks in Node’s contexts', run: contexts },
  { title: 'reports errors in Node’s context', run: errorContext },
  { title: 'throws an error that nobody listens for', run: uncaughtEvent },
  { title: 'is an event source for events.on', run: iterated },
  { title: 'emits events through a replaced emit()', run: patchedEmit },
];
