// Scenarios: binding, listening and addresses.
import dgram from 'node:dgram';
import { once } from 'node:events';
import { openSync, closeSync } from 'node:fs';
import {
  codeOf,
  type DgramKit,
  type DgramScenario,
  loose,
  lookupOf,
  outcomeOf,
  someTurns,
  told,
} from './dgram-behaviours-kit';
import { uncaughtDuring } from '../helpers/uncaught';

/** Every way to ask for any free port. */
function bindings(kit: DgramKit): unknown[][] {
  const host = kit.localhost;
  const callback = (): void => undefined;
  return [
    [],
    [callback],
    [0],
    [null],
    [undefined, undefined],
    ['0'],
    [''],
    [false],
    [0, callback],
    [0, null],
    [0, ''],
    [0, host],
    [0, host, callback],
    [0, undefined, callback],
    [{}],
    [{}, callback],
    [{ port: 0 }],
    [{ port: 0, address: host }],
    [{ port: 0, address: host, exclusive: true }, callback],
    [{ address: host }],
    [{ fd: -1 }],
    [{ fd: '7' }],
    // Not every machine has an IPv6 address by that name.
    ...(kit.family.type === 'udp4' ? [[0, 'localhost']] : []),
  ];
}

async function bindAll(kit: DgramKit): Promise<unknown> {
  const story: unknown[] = [];
  for (const args of bindings(kit)) {
    const socket = kit.create();
    let called = 0;
    const withCallback = args.map((arg) =>
      typeof arg === 'function'
        ? function (this: unknown) {
            if (this === socket) called++;
          }
        : arg,
    );
    const listening = once(socket, 'listening');
    const chained = loose(socket).bind(...withCallback) === socket;
    await listening;
    const { address, family, port } = socket.address();
    const keys = Object.keys(socket.address()).sort();
    story.push([args.length, chained, called, address, family, port > 0, keys]);
  }
  return story;
}

async function takenPort(kit: DgramKit): Promise<unknown> {
  const first = await kit.bound();
  const { port } = first.address();
  const second = kit.create();
  const log: unknown[] = [];
  let called = 0;
  second.bind(port, kit.localhost, () => called++);
  log.push('returned');
  const [error] = (await once(second, 'error')) as [Error];
  log.push(told(error, port), second.listenerCount('error'), second.listenerCount('listening'));
  // A failed bind leaves it unbound: another port is another try.
  second.bind(0, kit.localhost);
  await once(second, 'listening');
  log.push(called, second.address().port !== port);
  return log;
}

async function refusedAddresses(kit: DgramKit): Promise<unknown> {
  const story: unknown[] = [];
  for (const address of [kit.family.absent, kit.family.wrong]) {
    const socket = kit.create();
    const failed = once(socket, 'error') as Promise<[Error]>;
    socket.bind(0, address);
    story.push(told((await failed)[0]));
    const fixed = kit.create();
    const failedToo = once(fixed, 'error') as Promise<[Error]>;
    fixed.bind({ port: 1717, address, exclusive: true });
    story.push(told((await failedToo)[0], 1717));
  }
  return story;
}

async function failedLookup(kit: DgramKit): Promise<unknown> {
  const failure = Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
  const story: unknown[] = [];
  for (const when of ['at once', 'later'] as const) {
    const socket = kit.create({ lookup: lookupOf(failure, when) } as dgram.SocketOptions);
    for (const callback of [undefined, () => story.push('called')]) {
      const failed = new Promise((resolve) => socket.once('error', resolve));
      socket.bind(0, 'name.invalid', callback);
      story.push((await failed) === failure);
    }
  }
  return story;
}

async function lookedUp(kit: DgramKit): Promise<unknown> {
  const log: unknown[] = [];
  const lookup = (
    name: unknown,
    options: unknown,
    callback: (error: null, address: string, family: number) => void,
  ): void => {
    log.push([name, options, typeof callback]);
    callback(null, kit.localhost, kit.family.type === 'udp4' ? 4 : 6);
  };
  const socket = kit.create({ lookup } as unknown as dgram.SocketOptions);
  const receiver = await kit.bound();
  const { port } = receiver.address();
  const arrived = kit.texts(receiver, 3);
  const listening = once(socket, 'listening');
  socket.bind(0, 'a.name');
  await listening;
  await new Promise((resolve) => socket.send('1', port, 'b.name', resolve));
  await new Promise((resolve) => socket.send('2', port, resolve));
  await new Promise<void>((resolve) => socket.connect(port, 'c.name', resolve));
  await new Promise((resolve) => socket.send('3', resolve));
  socket.disconnect();
  await new Promise<void>((resolve) => socket.connect(port, resolve));
  return [log, await arrived];
}

async function families(kit: DgramKit): Promise<unknown> {
  const log: unknown[] = [];
  for (const ipv6Only of [true, false]) {
    const six = kit.create({ ipv6Only });
    six.bind(0, kit.family.any);
    await once(six, 'listening');
    const { port } = six.address();
    const four = kit.own(kit.flavour.create('udp4'));
    const answer = new Promise<unknown>((resolve) => {
      four.once('listening', () => resolve('listening'));
      four.once('error', (error) => resolve(told(error, port)));
    });
    four.bind(port, '0.0.0.0');
    log.push(await answer);
    const hears = ipv6Only ? four : six;
    const sender = kit.own(kit.flavour.create('udp4'));
    const arrived = kit.receive(hears, 1);
    sender.send('four', port, '127.0.0.1');
    const [message] = await arrived;
    log.push(message?.rinfo.address, message?.rinfo.family, message?.text);
  }
  return log;
}

async function sharedPort(kit: DgramKit, option: 'reuseAddr' | 'reusePort'): Promise<unknown> {
  const story: unknown[] = [];
  for (const [mine, theirs] of [
    [true, true],
    [true, false],
    [false, true],
  ]) {
    const first = await kit.bound({ [option]: mine });
    const { port } = first.address();
    const second = kit.create({ [option]: theirs });
    const answer = new Promise<unknown>((resolve) => {
      second.once('listening', () => resolve(second.address().port === port));
      second.once('error', (error) => resolve(told(error, port)));
    });
    second.bind(port, kit.localhost);
    story.push(await answer);
  }
  return story;
}

function hasReusePort(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  return major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12);
}

async function badDescriptors(kit: DgramKit): Promise<unknown> {
  const file = openSync('/dev/null', 'r');
  const story = [file, 99_999].map((fd) => {
    const socket = kit.create();
    return outcomeOf(() => socket.bind({ fd }));
  });
  closeSync(file);
  return story;
}

async function uncaught(kit: DgramKit): Promise<unknown> {
  const first = await kit.bound();
  const { port } = first.address();
  const story: unknown[] = [];
  for (const callback of [undefined, () => story.push('called')]) {
    const errors = await uncaughtDuring(async () => {
      kit.create().bind(port, kit.localhost, callback);
      await someTurns();
    });
    story.push(errors.map((error) => told(error, port)));
  }
  return story;
}

export const binding: readonly DgramScenario[] = [
  { title: 'binds to any free port by every signature', run: bindAll },
  { title: 'reports a port in use, and binds again', run: takenPort },
  { title: 'reports addresses that are not local', run: refusedAddresses },
  { title: 'reports a failed bind that nobody listens for as Node does', run: uncaught },
  { title: 'reports the lookup’s own error', run: failedLookup },
  { title: 'asks the lookup for names and addresses, with its family', run: lookedUp },
  { title: 'keeps to IPv6 with ipv6Only', families: ['udp6'], run: families },
  { title: 'shares an address by reuseAddr', run: (kit) => sharedPort(kit, 'reuseAddr') },
  {
    title: 'shares a port by reusePort',
    present: hasReusePort,
    run: (kit) => sharedPort(kit, 'reusePort'),
  },
  { title: 'refuses descriptors that are not UDP sockets', run: badDescriptors },
  {
    title: 'refuses a second bind',
    run: async (kit) => {
      const story: unknown[] = [];
      const socket = kit.create();
      socket.bind(0, kit.localhost);
      story.push(outcomeOf(() => socket.bind(0)));
      await once(socket, 'listening');
      story.push(outcomeOf(() => socket.bind({ port: 0 }, () => undefined)));
      story.push(socket.listenerCount('listening'), socket.listenerCount('error'));
      return story;
    },
  },
  {
    title: 'has no address before it is bound',
    run: (kit) => [outcomeOf(() => kit.create().address())],
  },
  {
    title: 'refuses an address of another type',
    run: (kit) =>
      [5, true, {}, []].map((address) => codeOf(() => loose(kit.create()).bind(0, address))),
  },
];
