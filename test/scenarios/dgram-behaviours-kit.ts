// What a scenario over datagram sockets may use. Whose sockets they are is the flavour's business: a
// scenario answers with its story, and the stories of two flavours must be the same.
import type dgram from 'node:dgram';
import { once } from 'node:events';
import { networkInterfaces } from 'node:os';
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';
import { isolated, type Isolated, type Tools } from '../helpers/isolated';

export type DgramFactory = (
  type: dgram.SocketType | dgram.SocketOptions,
  listener?: (message: Buffer, rinfo: dgram.RemoteInfo) => void,
) => dgram.Socket;

/** Whose sockets: Node's own or this package's. */
export interface Flavour {
  readonly name: 'node:dgram' | 'createUdpSocket';
  readonly create: DgramFactory;
}

export interface Family {
  readonly type: dgram.SocketType;
  readonly localhost: string;
  readonly any: string;
  /** An address of the other family. */
  readonly wrong: string;
  /** An address that no interface has (of those for documentation). */
  readonly absent: string;
  readonly group: string;
  /** What sends and receives multicast that does not leave this machine. */
  readonly groupInterface: string;
}

/** The first device with an IPv6 address that needs its name behind it, and that address. */
export function linkLocal(): { readonly device: string; readonly address: string } | undefined {
  for (const [device, list] of Object.entries(networkInterfaces())) {
    const found = list?.find(({ family, scopeid }) => family === 'IPv6' && scopeid !== 0);
    if (found !== undefined) return { device, address: `${found.address}%${device}` };
  }
  return undefined;
}

const FAMILIES: readonly Family[] = [
  {
    type: 'udp4',
    localhost: '127.0.0.1',
    any: '0.0.0.0',
    wrong: '::1',
    absent: '198.51.100.7',
    group: '239.255.17.4',
    groupInterface: '127.0.0.1',
  },
  {
    type: 'udp6',
    localhost: '::1',
    any: '::',
    wrong: '127.0.0.1',
    absent: '2001:db8::7',
    group: 'ff01::1704',
    // The loopback device has no route for IPv6 groups.
    groupInterface: `::%${linkLocal()?.device ?? 'lo'}`,
  },
];

/** The families that this machine has an address of its own for. */
export function presentFamilies(): Family[] {
  const own = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return FAMILIES.filter(({ localhost }) => own.some(({ address }) => address === localhost));
}

/** A scenario: its answer is compared, so it names no port and no time. */
export interface DgramScenario {
  readonly title: string;
  /** Where it says anything; default: everywhere. */
  readonly families?: readonly dgram.SocketType[];
  /** Whether the running Node has what it is about; default: yes. */
  readonly present?: (family: Family) => boolean;
  run(kit: DgramKit): Promise<unknown> | unknown;
}

export interface Received {
  readonly text: string;
  readonly rinfo: dgram.RemoteInfo;
}

const MOST_TURNS = 3;
const SOFTIRQ_MS = 5;

export class DgramKit {
  readonly flavour: Flavour;
  readonly family: Family;
  readonly #open = new Set<dgram.Socket>();

  constructor(flavour: Flavour, family: Family) {
    this.flavour = flavour;
    this.family = family;
  }

  get localhost(): string {
    return this.family.localhost;
  }

  /** A socket that is closed when the scenario is over. */
  create(
    options: Partial<dgram.SocketOptions> = {},
    listener?: (message: Buffer, rinfo: dgram.RemoteInfo) => void,
  ): dgram.Socket {
    return this.own(this.flavour.create({ type: this.family.type, ...options }, listener));
  }

  own(socket: dgram.Socket): dgram.Socket {
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
    return socket;
  }

  /** A socket on a free port of localhost. */
  async bound(options: Partial<dgram.SocketOptions> = {}): Promise<dgram.Socket> {
    const socket = this.create(options);
    // A lookup that answers at once makes it listen before bind() returns.
    const listening = once(socket, 'listening');
    socket.bind(0, this.localhost);
    await listening;
    return socket;
  }

  /** A socket connected to `peer`. */
  async connectedTo(
    peer: dgram.Socket,
    options: Partial<dgram.SocketOptions> = {},
  ): Promise<dgram.Socket> {
    const socket = this.create(options);
    socket.connect(peer.address().port, this.localhost);
    await once(socket, 'connect');
    return socket;
  }

  /** The next `count` messages. Call it before they are sent. */
  receive(socket: dgram.Socket, count: number): Promise<Received[]> {
    const messages: Received[] = [];
    return new Promise((resolve) => {
      const take = (message: Buffer, rinfo: dgram.RemoteInfo): void => {
        messages.push({ text: message.toString('latin1'), rinfo });
        if (messages.length < count) return;
        socket.off('message', take);
        resolve(messages);
      };
      socket.on('message', take);
    });
  }

  async texts(socket: dgram.Socket, count: number): Promise<string[]> {
    return (await this.receive(socket, count)).map(({ text }) => text);
  }

  /**
   * Runs `body`, which uses its parameter only, in a process of its own, where `flavourOf(tools)` is
   * written as `zc.createUdpSocket` or dgram's: by the environment variable DGRAM_FLAVOUR.
   */
  isolated<T>(
    body: (tools: Tools) => T | Promise<T>,
    env: Readonly<Record<string, string>> = {},
  ): Promise<Isolated<T>> {
    const { type, localhost } = this.family;
    return isolated(body, {
      env: {
        ...env,
        DGRAM_FLAVOUR: this.flavour.name,
        DGRAM_TYPE: type,
        DGRAM_LOCALHOST: localhost,
      },
    });
  }

  async close(): Promise<void> {
    for (const socket of this.#open) {
      socket.on('error', () => undefined);
      // Not waited for: Node's own never closes when it waits for a bind that failed.
      socket.close();
    }
    await someTurns();
  }
}

/** Long enough for everything that is on its way within this machine, also by a busy ksoftirqd. */
export async function someTurns(): Promise<void> {
  await delay(SOFTIRQ_MS);
  for (let turn = 0; turn < MOST_TURNS; turn++) await nextTurn();
}

/**
 * What a message must agree in: Node words its complaints about arguments anew from version to version,
 * but names the argument; everything else is to the letter.
 */
function saying(message: string, code: string | undefined): string {
  const aboutArgument = code === 'ERR_INVALID_ARG_TYPE' || code === 'ERR_OUT_OF_RANGE';
  return aboutArgument ? (/"[^"]*"/.exec(message)?.[0] ?? message) : message;
}

/** An error as far as two flavours must agree; `port` is what a port of this run is replaced by. */
export function told(error: unknown, port?: number): unknown {
  if (!(error instanceof Error)) return error === null ? null : `not an error: ${String(error)}`;
  const { code, errno, syscall } = error as NodeJS.ErrnoException;
  const { address, port: itsPort } = error as { address?: string; port?: number };
  const kind = [TypeError, RangeError].find((one) => error instanceof one)?.name ?? 'Error';
  const message = saying(error.message, code);
  const hidden = port === undefined ? message : message.replace(`:${port}`, ':PORT');
  // A system error of Node's own (bufferSize) answers through accessors.
  const plain = { kind, name: error.name, message: hidden, code, errno, syscall, address };
  return { ...plain, port: itsPort !== undefined && itsPort === port ? 'PORT' : itsPort };
}

/** What a call throws, or what kind of thing it answers. */
export function outcomeOf(call: () => unknown, port?: number): unknown {
  try {
    const value = call();
    return `answers ${value === null ? 'null' : typeof value}`;
  } catch (error) {
    return told(error, port);
  }
}

/** The code of what a call throws, or what kind of thing it answers. */
export function codeOf(call: () => unknown): string {
  const outcome = outcomeOf(call) as { name: string; code?: string } | string;
  return typeof outcome === 'string' ? outcome : `${outcome.name} ${outcome.code}`;
}

/** A dgram call with arguments that its types forbid. */
export function loose<T extends object>(
  target: T,
): { [K in keyof T]: (...args: unknown[]) => unknown } {
  return target as never;
}

/** A lookup that answers with `answer` in a later turn, or at once. */
export function lookupOf(
  answer: Error | string,
  when: 'at once' | 'later',
): dgram.SocketOptions['lookup'] {
  const family = typeof answer === 'string' && answer.includes(':') ? 6 : 4;
  const lookup = (
    _name: string,
    _options: unknown,
    callback: (error: Error | null, address: string, family: number) => void,
  ): void => {
    const reply = (): void =>
      answer instanceof Error ? callback(answer, '', 0) : callback(null, answer, family);
    if (when === 'at once') reply();
    else setImmediate(reply);
  };
  return lookup as unknown as dgram.SocketOptions['lookup'];
}

/** A port of localhost that refuses datagrams. */
export async function silentPort(kit: DgramKit): Promise<number> {
  const socket = await kit.bound();
  const { port } = socket.address();
  // Held by a socket that is connected to itself, so that no other process gets the port meanwhile.
  await new Promise<void>((resolve) => socket.connect(port, kit.localhost, () => resolve()));
  return port;
}
