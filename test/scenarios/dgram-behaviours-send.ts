// Scenarios: what can be sent, by which signatures, and what callbacks are told.
import type dgram from 'node:dgram';
import { once } from 'node:events';
import { promisify } from 'node:util';
import {
  type DgramKit,
  type DgramScenario,
  loose,
  lookupOf,
  someTurns,
  told,
} from './dgram-behaviours-kit';
import { uncaughtDuring } from '../helpers/uncaught';

const BYTES = Buffer.from('0123456789abcdef');

/** Everything dgram takes for a message. */
function payloads(): [string, unknown][] {
  const memory = new ArrayBuffer(24);
  new Uint8Array(memory).set(BYTES, 4);
  const shared = new Uint8Array(new SharedArrayBuffer(16), 2, 8);
  shared.set(BYTES.subarray(0, 8));
  return [
    ['text', 'plain text'],
    ['text beyond ASCII', 'zażółć gęślą jaźń €'],
    ['no text', ''],
    ['Buffer', Buffer.from(BYTES)],
    ['empty Buffer', Buffer.alloc(0)],
    ['part of a Buffer', BYTES.subarray(3, 9)],
    ['Uint8Array', new Uint8Array(memory, 4, 16)],
    ['Uint16Array', new Uint16Array(memory, 4, 5)],
    ['Float64Array', new Float64Array(memory, 8, 2)],
    ['BigInt64Array', new BigInt64Array(memory, 8, 1)],
    ['DataView', new DataView(memory, 5, 7)],
    ['shared memory', shared],
    ['no items', []],
    ['one item', [Buffer.from('one')]],
    [
      'items',
      ['text', Buffer.from('-buffer-'), new Uint8Array([65, 66]), new DataView(memory, 4, 3)],
    ],
    ['wide items', [new Uint16Array(memory, 4, 2), new Float64Array(memory, 8, 1), '']],
    ['empty items', ['', Buffer.alloc(0)]],
    ['many items', Array.from({ length: 300 }, (_, i) => String.fromCharCode(65 + (i % 26)))],
  ];
}

type Send = (message: unknown, done: (...args: unknown[]) => void) => void;

async function exchange(
  receiver: dgram.Socket,
  kit: DgramKit,
  message: unknown,
  send: Send,
): Promise<unknown> {
  const arrived = kit.texts(receiver, 1);
  const told = await new Promise<unknown[]>((resolve) => send(message, (...args) => resolve(args)));
  return [told, await arrived];
}

/** Every signature of an unconnected socket with a callback. */
function signatures(kit: DgramKit, socket: dgram.Socket, port: number): [string, Send][] {
  const { send } = loose(socket);
  const call = send.bind(socket);
  const host = kit.localhost;
  const length = (message: unknown): number =>
    typeof message === 'string'
      ? Buffer.byteLength(message)
      : (message as ArrayBufferView).byteLength;
  return [
    ['message, port, address', (m, done) => call(m, port, host, done)],
    ['message, port', (m, done) => call(m, port, done)],
    ['message, port, no address', (m, done) => call(m, port, '', done)],
    ['message, port, null', (m, done) => call(m, port, null, done)],
    ['message, port, undefined', (m, done) => call(m, port, undefined, done)],
    ['message, port as text', (m, done) => call(m, String(port), host, done)],
    ['range, port, address', (m, done) => call(m, 0, length(m), port, host, done)],
    ['range, port', (m, done) => call(m, 0, length(m), port, done)],
    ['range as text', (m, done) => call(m, '0', String(length(m)), port, host, done)],
    ['nothing of it', (m, done) => call(m, length(m), 0, port, host, done)],
    [
      'its second half',
      (m, done) => call(m, length(m) >> 1, length(m) - (length(m) >> 1), port, done),
    ],
  ];
}

async function everyPayload(kit: DgramKit): Promise<unknown> {
  const story: unknown[] = [];
  const receiver = await kit.bound();
  const { port } = receiver.address();
  const socket = kit.create();
  const connected = await kit.connectedTo(receiver);
  for (const [name, message] of payloads()) {
    const free = await exchange(receiver, kit, message, (m, done) =>
      loose(socket).send(m, port, kit.localhost, done),
    );
    const bound = await exchange(receiver, kit, message, (m, done) =>
      loose(connected).send(m, done),
    );
    story.push([name, free, bound]);
  }
  return story;
}

async function everySignature(kit: DgramKit): Promise<unknown> {
  const story: unknown[] = [];
  const receiver = await kit.bound();
  const socket = kit.create();
  const memory = new Uint16Array([0x3130, 0x3332, 0x3534, 0x3736]);
  for (const [name, send] of signatures(kit, socket, receiver.address().port)) {
    for (const message of ['a text €', Buffer.from(BYTES), memory]) {
      story.push([name, await exchange(receiver, kit, message, send)]);
    }
  }
  return story;
}

async function everyConnectedSignature(kit: DgramKit): Promise<unknown> {
  const story: unknown[] = [];
  const receiver = await kit.bound();
  const socket = await kit.connectedTo(receiver);
  const { send } = loose(socket);
  const call = send.bind(socket);
  const forms: [string, Send][] = [
    ['message', (m, done) => call(m, done)],
    ['range', (m, done) => call(m, 1, 5, done)],
    ['range of nothing', (m, done) => call(m, 3, 0, done)],
    ['range and no port', (m, done) => call(m, 1, 5, done, undefined)],
  ];
  for (const [name, form] of forms) {
    for (const message of ['a text €', Buffer.from(BYTES), new DataView(new ArrayBuffer(8))]) {
      story.push([name, await exchange(receiver, kit, message, form)]);
    }
  }
  return story;
}

/** Without a callback every form answers undefined, and what it sends arrives. */
async function answersNothing(kit: DgramKit): Promise<unknown> {
  const receiver = await kit.bound();
  const { port } = receiver.address();
  const socket = loose(await kit.bound());
  const connected = loose(await kit.connectedTo(receiver));
  const arrived = kit.texts(receiver, 11);
  const done = (): void => undefined;
  const answers = [
    socket.send('1', port),
    socket.send('2', port, kit.localhost),
    socket.send('3', port, done),
    socket.send('4', port, kit.localhost, done),
    socket.send('x5', 1, 1, port),
    socket.send('x6', 1, 1, port, kit.localhost),
    socket.send(['7'], port, null),
  ];
  await someTurns();
  answers.push(
    connected.send('8'),
    connected.send('9', done),
    connected.send('xA', 1, 1),
    connected.send(['B']),
  );
  return [answers, await arrived];
}

async function promisified(kit: DgramKit): Promise<unknown> {
  const receiver = await kit.bound();
  const socket = await kit.bound();
  const arrived = kit.texts(receiver, 1);
  const send = promisify(
    (
      message: string,
      port: number,
      address: string,
      callback: (e: Error | null, n: number) => void,
    ) => socket.send(message, port, address, callback),
  );
  const sent = await send('promised', receiver.address().port, kit.localhost);
  const direct = promisify(socket.send) as unknown as (...args: unknown[]) => Promise<number>;
  const arrivedToo = kit.texts(receiver, 1);
  const sentToo = await direct.call(socket, 'direct', receiver.address().port, kit.localhost);
  const rejected = await direct
    .call(socket, Buffer.alloc(70_000), 9, kit.localhost)
    .catch((error: unknown) => told(error, 9));
  await promisify(socket.close).call(socket);
  return [sent, await arrived, sentToo, await arrivedToo, rejected];
}

// --- what a send is told ------------------------------------------------------------------------

async function largest(kit: DgramKit): Promise<unknown> {
  const story: unknown[] = [];
  const receiver = await kit.bound();
  const { port } = receiver.address();
  const socket = await kit.bound();
  const connectedSocket = await kit.connectedTo(receiver);
  // Not every machine has an IPv6 address by that name.
  const named = kit.family.type === 'udp4' ? [[port, 'localhost']] : [];
  for (const bytes of [65_507, 65_508, 65_535, 65_536, 100_000]) {
    const message = Buffer.alloc(bytes, bytes % 251);
    for (const args of [[port, kit.localhost], [port], ...named]) {
      const arrived = bytes === 65_507 ? kit.receive(receiver, 1) : undefined;
      const answer = await new Promise<unknown[]>((resolve) =>
        loose(socket).send(message, ...args, (...given: unknown[]) => resolve(given)),
      );
      const sameBytes = (await arrived)?.[0]?.text === message.toString('latin1');
      const sent = answer.map((one) => (one instanceof Error ? told(one, port) : one));
      story.push([bytes, args.length, sent, sameBytes]);
    }
    const arrived = bytes === 65_507 ? kit.receive(receiver, 1) : undefined;
    const answer = await new Promise<unknown[]>((resolve) =>
      connectedSocket.send(message, (...given: unknown[]) => resolve(given)),
    );
    await arrived;
    story.push([bytes, answer.map((one) => (one instanceof Error ? told(one, port) : one))]);
  }
  return story;
}

async function unreachable(kit: DgramKit): Promise<unknown> {
  const story: unknown[] = [];
  const socket = await kit.bound();
  const targets = [kit.family.wrong, ...(kit.family.type === 'udp4' ? ['127.255.255.255'] : [])];
  socket.on('error', (error) => story.push(['event', told(error)]));
  for (const address of targets) {
    const answer = await new Promise<unknown[]>((resolve) =>
      loose(socket).send('x', 9, address, (...given: unknown[]) => resolve(given)),
    );
    story.push([answer.length, told(answer[0], 9)]);
    socket.send('x', 9, address);
  }
  await someTurns();
  return story;
}

async function silentFailure(kit: DgramKit): Promise<unknown> {
  const log: unknown[] = [];
  const receiver = await kit.bound();
  const socket = await kit.bound();
  socket.on('error', (error) => log.push(told(error)));
  const arrived = kit.texts(receiver, 1);
  socket.send(Buffer.alloc(80_000), receiver.address().port, kit.localhost);
  socket.send('goes on', receiver.address().port, kit.localhost);
  log.push(await arrived);
  return log;
}

async function lookupFailure(kit: DgramKit): Promise<unknown> {
  const log: unknown[] = [];
  const failure = Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
  const receiver = await kit.bound();
  for (const when of ['at once', 'later'] as const) {
    let fails = false;
    const good = lookupOf(kit.localhost, 'at once') as (...args: unknown[]) => void;
    const bad = lookupOf(failure, when) as (...args: unknown[]) => void;
    const lookup = (...args: unknown[]): void => (fails ? bad : good)(...args);
    const socket = await kit.bound({ lookup } as dgram.SocketOptions);
    fails = true;
    socket.on('error', (error) => log.push(['event', error === failure]));
    await new Promise<void>((resolve) =>
      loose(socket).send('x', 9, 'name.invalid', (...args: unknown[]) => {
        log.push(['callback', args.length, args[0] === failure]);
        resolve();
      }),
    );
    socket.send('x', 9, 'name.invalid');
    await once(socket, 'error');
    socket.removeAllListeners('error');
    const errors = await uncaughtDuring(async () => {
      socket.send('x', 9, 'name.invalid');
      await someTurns();
    });
    log.push(errors.map((error) => error === failure));
    fails = false;
    const arrived = kit.texts(receiver, 1);
    socket.send('works', receiver.address().port, 'some.name');
    log.push(await arrived);
  }
  return log;
}

async function realLookupFailure(kit: DgramKit): Promise<unknown> {
  const socket = await kit.bound();
  // A name that no resolver is asked about.
  const name = '-no-name-'.repeat(40);
  return new Promise((resolve) => {
    loose(socket).send('x', 9, name, (...args: unknown[]) => {
      const { hostname, ...rest } = args[0] as { hostname?: string };
      resolve([args.length, told(args[0], 9), hostname === name, Object.keys(rest).sort()]);
    });
  });
}

async function copiesList(kit: DgramKit): Promise<unknown> {
  const receiver = await kit.bound();
  const { port } = receiver.address();
  const socket = await kit.bound();
  const connectedSocket = await kit.connectedTo(receiver);
  const arrived = kit.texts(receiver, 3);
  for (const send of [
    (list: string[]) => socket.send(list, port, kit.localhost),
    (list: string[]) => socket.send(list, port, kit.localhost, () => undefined),
    (list: string[]) => connectedSocket.send(list, () => undefined),
  ]) {
    const list = ['first', '-second'];
    send(list);
    list.splice(0, 2, 'other');
    await someTurns();
  }
  return arrived;
}

async function sendto(kit: DgramKit): Promise<unknown> {
  const receiver = await kit.bound();
  const { port } = receiver.address();
  const socket = await kit.bound();
  const legacy = socket as unknown as { sendto(...args: unknown[]): void };
  const story: unknown[] = [];
  const good = [Buffer.from(BYTES), 2, 5, port, kit.localhost];
  for (const at of [1, 2, 3, 4]) {
    const args = [...good];
    args[at] = at === 4 ? 5 : 'x';
    try {
      legacy.sendto(...args);
      story.push('sent');
    } catch (error) {
      story.push(told(error));
    }
  }
  const arrived = kit.texts(receiver, 2);
  story.push(legacy.sendto(...good));
  await new Promise((resolve) => legacy.sendto(...good, resolve));
  story.push(await arrived);
  return story;
}

function hasSendto(): boolean {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  return 'sendto' in (require('node:dgram') as typeof import('node:dgram')).Socket.prototype;
}

export const sending: readonly DgramScenario[] = [
  { title: 'sends every kind of message, and says how many bytes', run: everyPayload },
  { title: 'sends by every signature', run: everySignature },
  { title: 'sends by every signature of a connected socket', run: everyConnectedSignature },
  { title: 'returns undefined whatever the signature', run: answersNothing },
  { title: 'can be promisified', run: promisified },
  { title: 'sends as much as a datagram holds, and reports what is too much', run: largest },
  {
    title: 'reports unreachable addresses to callbacks, and nowhere else',
    run: unreachable,
  },
  { title: 'keeps working after a failed send that is not reported', run: silentFailure },
  { title: 'reports a failed lookup to the callback, else by an event', run: lookupFailure },
  { title: 'reports a failed lookup of the system', run: realLookupFailure },
  { title: 'does not see later changes to a list of messages', run: copiesList },
  { title: 'has sendto', present: hasSendto, run: sendto },
];
