// Scenarios: creating a socket, its surface, and the signal that closes it.
import dgram from 'node:dgram';
import { channel } from 'node:diagnostics_channel';
import { EventEmitter, getEventListeners, once } from 'node:events';
import { codeOf, type DgramScenario, loose, outcomeOf, someTurns } from './dgram-behaviours-kit';

const BAD_TYPES = [undefined, null, 'udp', 'UDP4', 'ip4', '', 4, true, {}, [], { type: 'udp5' }];
const SIZES = ['x', -1, 1.5, 2 ** 32, {}, 0, null, undefined, 4096];

/** Whether the running Node knows an option; an older one ignores it. */
function hasBlockLists(): boolean {
  try {
    dgram
      .createSocket({ type: 'udp4', sendBlockList: 5 } as unknown as dgram.SocketOptions)
      .close();
    return false;
  } catch {
    return true;
  }
}

export const creating: readonly DgramScenario[] = [
  {
    title: 'refuses other types of sockets',
    families: ['udp4'],
    run: ({ flavour }) =>
      BAD_TYPES.map((type) => outcomeOf(() => loose(flavour).create(type) as object)),
  },
  {
    title: 'accepts a type, or options with a type',
    run: ({ flavour, family }) => {
      const short = flavour.create(family.type);
      const long = flavour.create({ type: family.type });
      const answer = [short, long].map((socket) => [
        (socket as unknown as { type: string }).type,
        socket instanceof EventEmitter,
        socket.listenerCount('message'),
      ]);
      short.close();
      long.close();
      return answer;
    },
  },
  {
    title: 'has every method of a dgram socket',
    run: (kit) => {
      const socket = loose(kit.create());
      const names = Object.getOwnPropertyNames(dgram.Socket.prototype).filter(
        (name) => !name.startsWith('_') && name !== 'constructor',
      );
      return [...names, Symbol.asyncDispose].map((name) => {
        const method = Reflect.get(socket, name) as ((...args: unknown[]) => unknown) | undefined;
        return [String(name), typeof method];
      });
    },
  },
  {
    title: 'checks buffer sizes where they are given',
    run: (kit) =>
      ['recvBufferSize', 'sendBufferSize'].map((name) =>
        SIZES.map((size) => outcomeOf(() => kit.create({ [name]: size }))),
      ),
  },
  {
    title: 'applies buffer sizes when it is bound',
    run: async (kit) => {
      const socket = await kit.bound({ recvBufferSize: 10_000, sendBufferSize: 20_000 });
      return [socket.getRecvBufferSize(), socket.getSendBufferSize()];
    },
  },
  {
    title: 'refuses a lookup that is not a function',
    run: (kit) =>
      [null, 5, 'x', {}].map((lookup) => codeOf(() => kit.create({ lookup } as object))),
  },
  {
    title: 'accepts truthy and falsy values as flags',
    run: async (kit) => {
      const first = await kit.bound({ reuseAddr: 1 } as object);
      const second = kit.create({ reuseAddr: 'yes', ipv6Only: 0 } as object);
      second.bind(first.address().port, kit.localhost);
      await once(second, 'listening');
      return second.address().port === first.address().port;
    },
  },
  {
    title: 'accepts a listener, and ignores anything else',
    run: async (kit) => {
      for (const none of [null, 5, 'x', {}]) {
        const socket = kit.own(loose(kit.flavour).create(kit.family.type, none) as dgram.Socket);
        if (socket.listenerCount('message') !== 0) return 'a listener';
      }
      const heard: string[] = [];
      const socket = kit.create({}, function (this: dgram.Socket, message) {
        heard.push(`${message.toString()} ${this === socket}`);
      });
      socket.bind(0, kit.localhost);
      await once(socket, 'listening');
      socket.send('to itself', socket.address().port, kit.localhost);
      await once(socket, 'message');
      return heard;
    },
  },
  {
    title: 'says on the channel udp.socket that it was created',
    run: (kit) => {
      const seen: unknown[] = [];
      const listener = (message: unknown): void => void seen.push(message);
      const created = channel('udp.socket');
      created.subscribe(listener);
      const socket = kit.create();
      created.unsubscribe(listener);
      return seen.map((message) => (message as { socket: unknown }).socket === socket);
    },
  },
  {
    title: 'refuses what is not an AbortSignal',
    run: (kit) =>
      [null, 5, 'x', {}, new AbortController()].map((signal) =>
        codeOf(() => kit.create({ signal } as object)),
      ),
  },
  {
    title: 'closes at the signal, once, and leaves no listener on it',
    run: async (kit) => {
      const log: unknown[] = [];
      const controller = new AbortController();
      const socket = kit.create({ signal: controller.signal });
      socket.on('close', () => log.push('close'));
      log.push(getEventListeners(controller.signal, 'abort').length);
      controller.abort();
      log.push('aborted');
      await once(socket, 'close');
      log.push(getEventListeners(controller.signal, 'abort').length);
      log.push(codeOf(() => socket.close()));
      return log;
    },
  },
  {
    title: 'closes at once when the signal was aborted before',
    run: async (kit) => {
      const socket = kit.create({ signal: AbortSignal.abort() });
      const thrown = codeOf(() => socket.bind(0));
      await once(socket, 'close');
      return thrown;
    },
  },
  {
    title: 'ignores a signal after close',
    run: async (kit) => {
      const log: string[] = [];
      const controller = new AbortController();
      const socket = await kit.bound({ signal: controller.signal });
      socket.on('close', () => log.push('close'));
      socket.on('error', () => log.push('error'));
      socket.close();
      await once(socket, 'close');
      const left = getEventListeners(controller.signal, 'abort').length;
      controller.abort();
      await someTurns();
      return [log, left];
    },
  },
  {
    title: 'obeys block lists',
    present: hasBlockLists,
    run: async (kit) => {
      const { BlockList } = await import('node:net');
      const list = new BlockList();
      list.addAddress(kit.localhost, kit.family.type === 'udp4' ? 'ipv4' : 'ipv6');
      const blocked = (name: string): object => ({ [name]: list });
      const log: unknown[] = [];
      const deaf = await kit.bound(blocked('receiveBlockList'));
      deaf.on('message', (message) => log.push(`heard ${message}`));
      const mute = await kit.bound(blocked('sendBlockList'));
      const open = await kit.bound();
      open.on('message', (message) => log.push(`open heard ${message}`));
      const code = (error: Error | null): unknown =>
        error === null ? null : (error as NodeJS.ErrnoException).code;
      const send = (from: dgram.Socket, to: dgram.Socket): Promise<void> =>
        new Promise((resolve) => {
          from.send('x', to.address().port, kit.localhost, (error) => {
            log.push(code(error));
            resolve();
          });
        });
      await send(open, deaf);
      await send(mute, open);
      const connecting = kit.create(blocked('sendBlockList'));
      await new Promise<void>((resolve) => {
        connecting.connect(open.address().port, kit.localhost, ((error?: Error) => {
          log.push(code(error ?? null));
          resolve();
        }) as () => void);
      });
      await someTurns();
      for (const name of ['receiveBlockList', 'sendBlockList']) {
        log.push(codeOf(() => kit.create({ [name]: 5 } as object)));
      }
      return log;
    },
  },
];
