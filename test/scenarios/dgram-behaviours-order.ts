// Scenarios: the order of datagrams, callbacks and events, and what a listener may do meanwhile.
import type dgram from 'node:dgram';
import { once } from 'node:events';
import { type DgramKit, type DgramScenario, someTurns, told } from './dgram-behaviours-kit';
import { uncaughtDuring } from '../helpers/uncaught';

/** Beyond the default threshold of zero copy. */
const LARGE = 40_000;
const CHAIN = 10_000;
/** Node takes no notice of it. */
const COPYING = { zeroCopy: { engine: 'copy' } } as object;

function numbered(index: number, bytes: number): Buffer {
  const message = Buffer.alloc(bytes, index);
  message.writeUInt32BE(index);
  return message;
}

function hears(socket: dgram.Socket, count: number): Promise<number[]> {
  const seen: number[] = [];
  return new Promise((resolve) => {
    socket.on('message', (message) => {
      const index = message.readUInt32BE();
      const whole = message.subarray(4).every((byte) => byte === (index & 0xff));
      seen.push(whole ? index : -index);
      if (seen.length === count) resolve(seen);
    });
  });
}

async function datagramOrder(
  kit: DgramKit,
  which: 'free' | 'connected',
  options: object,
): Promise<{ arrived: number[]; called: number[] }> {
  const receiver = await kit.bound();
  const { port } = receiver.address();
  const socket =
    which === 'free' ? await kit.bound(options) : await kit.connectedTo(receiver, options);
  const to = which === 'free' ? [port, kit.localhost] : [];
  const arrived = hears(receiver, 60);
  const called: number[] = [];
  let left = 40;
  await new Promise<void>((resolve) => {
    for (let i = 0; i < 60; i++) {
      // Few large ones: the receiver's buffer holds what is sent within this turn.
      const args: unknown[] = [numbered(i, i % 25 === 10 ? LARGE : 100), ...to];
      const callback = (): void => {
        called.push(i);
        if (--left === 0) resolve();
      };
      if (i % 3 !== 0) args.push(callback);
      (socket.send as (...args: unknown[]) => void)(...args);
    }
  });
  return { arrived: await arrived, called };
}

async function beforeBound(kit: DgramKit): Promise<unknown> {
  const log: unknown[] = [];
  const receiver = await kit.bound();
  const { port } = receiver.address();
  const arrived = hears(receiver, 12);
  const socket = kit.create();
  socket.on('listening', () => log.push(['listening', socket.address().address]));
  for (let i = 0; i < 10; i++) {
    const callback = i % 2 === 0 ? undefined : () => void log.push(i);
    socket.send(numbered(i, 50), port, kit.localhost, callback);
    if (i === 4) log.push('half');
  }
  await once(socket, 'listening');
  const explicit = kit.create();
  explicit.bind(0, kit.localhost);
  explicit.send(numbered(10, 10), port, kit.localhost);
  await new Promise((resolve) => explicit.send(numbered(11, 10), port, kit.localhost, resolve));
  log.push(await arrived);
  return log;
}

async function failedBind(kit: DgramKit): Promise<unknown> {
  const log: unknown[] = [];
  const taken = await kit.bound();
  const { port } = taken.address();
  const socket = kit.create();
  socket.on('error', (error) => log.push(told(error, port)));
  socket.bind(port, kit.localhost);
  socket.send('never', port, kit.localhost);
  await someTurns();
  // What waited for that bind is gone; a later send binds anew.
  const arrived = kit.texts(taken, 1);
  socket.send('later', port, kit.localhost);
  log.push(await arrived);
  return log;
}

async function chain(kit: DgramKit): Promise<unknown> {
  const receiver = await kit.bound();
  const socket = await kit.connectedTo(receiver);
  let deepest = 0;
  let depth = 0;
  let bytes = 0;
  await new Promise<void>((resolve, reject) => {
    let left = CHAIN;
    const next = (error: Error | null, sent: number): void => {
      if (error !== null) return reject(error);
      bytes += sent;
      if (--left === 0) return resolve();
      depth++;
      deepest = Math.max(deepest, depth);
      socket.send('ping', next);
      depth--;
    };
    socket.send('ping', next);
  });
  return [bytes, deepest];
}

async function callbackOrder(kit: DgramKit): Promise<unknown> {
  const log: unknown[] = [];
  const receiver = await kit.bound();
  const { port } = receiver.address();
  receiver.on('message', (message) => log.push(`message of ${message.length} bytes`));
  const free = await kit.bound(COPYING);
  const socket = await kit.connectedTo(receiver, COPYING);
  for (const [name, one, to] of [
    ['free', free, [port, kit.localhost]],
    ['connected', socket, []],
  ] as const) {
    const send = one.send.bind(one) as (...args: unknown[]) => void;
    for (const [label, message] of [
      ['first', 'a'],
      ['too large', Buffer.alloc(90_000)],
      ['large', Buffer.alloc(LARGE)],
      ['last', 'd'],
    ] as const) {
      send(message, ...to, (...args: unknown[]) => {
        log.push([name, label, args.map((arg) => (arg instanceof Error ? told(arg, port) : arg))]);
      });
    }
    log.push(`${name}: sent`);
    await someTurns();
  }
  return log;
}

async function closeInCallback(kit: DgramKit): Promise<unknown> {
  const log: unknown[] = [];
  const receiver = await kit.bound();
  const socket = await kit.connectedTo(receiver);
  const arrived = kit.texts(receiver, 3);
  socket.on('close', () => log.push('close'));
  socket.send('1', () => {
    log.push('1');
    socket.close(() => log.push('close callback'));
  });
  socket.send('2', (error) => log.push('2', told(error)));
  socket.send('3', (error) => log.push('3', told(error)));
  log.push(await arrived);
  await someTurns();
  return log;
}

async function closeAfterSend(kit: DgramKit): Promise<unknown> {
  const log: unknown[] = [];
  const receiver = await kit.bound();
  const socket = await kit.connectedTo(receiver);
  const arrived = kit.texts(receiver, 2);
  socket.send('1', (error) => log.push('1', told(error)));
  socket.send('2');
  socket.close(() => log.push('closed'));
  log.push(await arrived);
  await someTurns();
  return log;
}

/** Datagrams that are all there before the listener sees the first. */
async function waiting(kit: DgramKit, receiver: dgram.Socket, texts: string[]): Promise<void> {
  const socket = await kit.bound();
  const { port } = receiver.address();
  await Promise.all(
    texts.map((text) => new Promise((resolve) => socket.send(text, port, kit.localhost, resolve))),
  );
}

async function throwingListener(kit: DgramKit): Promise<unknown> {
  const receiver = await kit.bound();
  const heard: string[] = [];
  receiver.on('message', (message) => {
    heard.push(message.toString());
    if (message.toString() !== 'c') throw new Error(`at ${message}`);
  });
  const errors = await uncaughtDuring(async () => {
    await waiting(kit, receiver, ['a', 'b', 'c', 'd', 'e']);
    await someTurns();
  });
  return [heard, errors.map((error) => (error as Error).message)];
}

async function throwingCallback(kit: DgramKit): Promise<unknown> {
  const receiver = await kit.bound();
  const socket = await kit.connectedTo(receiver);
  const called: string[] = [];
  const errors = await uncaughtDuring(async () => {
    for (const name of ['a', 'b', 'c']) {
      socket.send(name, () => {
        called.push(name);
        throw new Error(`at ${name}`);
      });
    }
    await someTurns();
  });
  return [called, errors.map((error) => (error as Error).message)];
}

async function closeInListener(kit: DgramKit): Promise<unknown> {
  const log: string[] = [];
  const receiver = await kit.bound();
  receiver.on('message', (message) => {
    log.push(message.toString());
    if (message.toString() === 'b') receiver.close();
  });
  receiver.on('close', () => log.push('close'));
  await waiting(kit, receiver, ['a', 'b', 'c', 'd']);
  await someTurns();
  return log;
}

async function removedListener(kit: DgramKit): Promise<unknown> {
  const log: string[] = [];
  const receiver = await kit.bound();
  const listener = (message: Buffer): void => {
    log.push(message.toString());
    receiver.off('message', listener);
  };
  receiver.on('message', listener);
  await waiting(kit, receiver, ['a', 'b', 'c']);
  await someTurns();
  // Without a listener they are lost.
  receiver.on('message', (message) => log.push(`late ${message}`));
  await waiting(kit, receiver, ['d']);
  await someTurns();
  return log;
}

async function unheard(kit: DgramKit): Promise<unknown> {
  const log: string[] = [];
  const receiver = await kit.bound();
  await waiting(kit, receiver, ['before any listener']);
  await someTurns();
  receiver.on('message', (message) => log.push(message.toString()));
  await waiting(kit, receiver, ['after']);
  await someTurns();
  return log;
}

/** Between messages of one turn come the microtasks and ticks of the listener. */
// When they run is a difference: node:dgram calls out once for each message, we once for each batch.
async function ticksOfMessages(kit: DgramKit): Promise<unknown> {
  const log: Record<'message' | 'tick' | 'microtask', string[]> = {
    message: [],
    tick: [],
    microtask: [],
  };
  const receiver = await kit.bound();
  receiver.on('message', (message) => {
    log.message.push(String(message));
    process.nextTick(() => log.tick.push(String(message)));
    queueMicrotask(() => log.microtask.push(String(message)));
  });
  await waiting(kit, receiver, ['a', 'b', 'c']);
  await someTurns();
  return log;
}

async function roundTrip(kit: DgramKit): Promise<unknown> {
  const echo = await kit.bound();
  echo.on('message', (message, rinfo) => echo.send(message, rinfo.port, rinfo.address));
  const socket = await kit.bound();
  const log: unknown[] = [];
  for (const text of ['', 'a', 'zażółć']) {
    const arrived = kit.receive(socket, 1);
    socket.send(text, echo.address().port, kit.localhost);
    const [message] = await arrived;
    const { port, ...rinfo } = message?.rinfo as dgram.RemoteInfo;
    log.push(message?.text, rinfo, Object.keys(message?.rinfo as object).sort());
    log.push(port === echo.address().port);
  }
  return log;
}

async function ownMemory(kit: DgramKit): Promise<unknown> {
  const receiver = await kit.bound();
  const kept: Buffer[] = [];
  receiver.on('message', (message) => {
    kept.push(message);
    // What a listener does to one message is not seen in another.
    if (kept.length === 2) message.fill('!');
  });
  for (let i = 0; i < 10; i++) await waiting(kit, receiver, ['aaaa', 'bbbb', 'cccc']);
  await someTurns();
  return kept.map((message) => [Buffer.isBuffer(message), message.toString()]);
}

export const ordering: readonly DgramScenario[] = [
  {
    title: 'keeps the order of datagrams and callbacks',
    run: (kit) => datagramOrder(kit, 'free', COPYING),
  },
  {
    title: 'keeps the order of datagrams and callbacks on a connected socket',
    run: (kit) => datagramOrder(kit, 'connected', COPYING),
  },
  {
    title: 'keeps the order of datagrams and callbacks also where it copies nothing',
    run: (kit) => datagramOrder(kit, 'connected', {}),
  },
  { title: 'keeps what is sent until it is bound', run: beforeBound },
  { title: 'drops what waited for a bind that failed', run: failedBind },
  { title: 'sends in callbacks, ten thousand times', run: chain },
  { title: 'fires callbacks after the send and before the message', run: callbackOrder },
  { title: 'closes in a callback', run: closeInCallback },
  { title: 'sends what was sent before close', run: closeAfterSend },
  { title: 'delivers all other datagrams when a listener throws', run: throwingListener },
  { title: 'runs all other callbacks when one throws', run: throwingCallback },
  { title: 'delivers nothing after close in a listener', run: closeInListener },
  { title: 'delivers to listeners that are there', run: removedListener },
  { title: 'keeps nothing for a later listener', run: unheard },
  { title: 'runs the ticks and microtasks of messages in their order', run: ticksOfMessages },
  { title: 'reports where a message came from', run: roundTrip },
  { title: 'gives every message bytes of its own', run: ownMemory },
];
