// A scenario of a packet test: what it has at hand, and what it must not leave behind.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import {
  createPacketSocket,
  type PacketSocketOptions,
  type SendReport,
  type ZeroCopyPacketSocket,
} from '../../lib/index';
import { OVERWRITTEN } from '../../scripts/pattern';
import { Far, type FarUdp } from './packet-far';
import { type LinkType, Outbox } from '../helpers/packet-frames';
import type { Wire, Family } from '../helpers/packet-wire';
import { argument } from '../helpers/program-side';
import { countDescriptors, descriptorsBackTo } from '../helpers/remains';
import { until } from '../../scripts/until';

export type OpenOptions = Omit<PacketSocketOptions, 'interface'> & { readonly interface?: string };

export type Ring = NonNullable<PacketSocketOptions['ring']>;

/** Slots are multiples of 32 KiB together: less would be rounded up to more frames. */
const LEAST_RING_BYTES = 32_768;

/** A ring of just so many frames. @param frames 1 to 16, a power of two */
export function ringOf(frames: number): Ring {
  return { frames, frameSize: LEAST_RING_BYTES / frames };
}

/** The wire that this program is at the near end of. */
export function theWire(): Wire {
  return argument<Wire>();
}

let far: Far | undefined;

/** The program at the far end, started on first use. */
export function theFar(): Far {
  return (far ??= new Far(theWire()));
}

export interface Near {
  readonly wire: Wire;
  readonly far: Far;
  /** A socket on the wire's near device, which is closed when the scenario is over. */
  open(options: OpenOptions): ZeroCopyPacketSocket;
  /** A UDP socket at the far end, and frames for it. */
  route(family: Family, type?: LinkType): Promise<{ udp: FarUdp; out: Outbox }>;
}

/** Rings and other memory of sockets that this process has mapped. */
export function ringMappings(): number {
  return readFileSync('/proc/self/maps', 'utf8').match(/socket:\[/g)?.length ?? 0;
}

/** Settles when no more rings are mapped than before; views of them must be out of reach. */
export function mappingsBackTo(before: number): Promise<void> {
  return until(`${before} mapped rings again`, () => {
    globalThis.gc?.();
    return ringMappings() <= before;
  });
}

export function closed(socket: ZeroCopyPacketSocket): Promise<void> {
  return new Promise((resolve) => socket.close(() => resolve()));
}

async function closeIfOpen(socket: ZeroCopyPacketSocket): Promise<void> {
  try {
    await closed(socket);
  } catch {
    // the scenario closed it
  }
}

/** Wraps a scenario: its sockets are closed at its end, and nothing of them may stay. */
export function scenario<P = undefined, R = void>(
  body: (near: Near, params: P) => Promise<R>,
): (params: P) => Promise<R> {
  const run = async (params: P): Promise<{ result: R; before: number }> => {
    const [wire, far] = [theWire(), theFar()];
    // Before counting: the first use takes descriptors that stay.
    await closed(createPacketSocket({ interface: wire.near.device }));
    await mappingsBackTo(0);
    const before = countDescriptors();
    const sockets: ZeroCopyPacketSocket[] = [];
    const near: Near = {
      wire,
      far,
      open: (options) => {
        const socket = createPacketSocket({ interface: wire.near.device, ...options });
        sockets.push(socket);
        return socket;
      },
      route: async (family, type = 'raw') => {
        const udp = await far.listen(family);
        return { udp, out: new Outbox({ wire, family, port: udp.port, type }) };
      },
    };
    try {
      return { result: await body(near, params), before };
    } finally {
      await Promise.all(sockets.splice(0).map(closeIfOpen));
    }
  };
  return async (params) => {
    const { result, before } = await run(params);
    await descriptorsBackTo(before);
    await mappingsBackTo(0);
    return result;
  };
}

/** What `settled` answers for a promise. */
export type Outcome = { readonly report: SendReport } | { readonly error: NodeJS.ErrnoException };

/** Settles when `sent` has; overwrites its memory, which is no ring's, in that moment. */
export async function outcomeOf(
  sent: Promise<SendReport>,
  ...memory: readonly Buffer[]
): Promise<Outcome> {
  const overwrite = (): void => memory.forEach((piece) => void piece.fill(OVERWRITTEN));
  return sent.then(
    (report) => {
      overwrite();
      return { report };
    },
    (error: NodeJS.ErrnoException) => {
      overwrite();
      return { error };
    },
  );
}

export function assertSent(outcome: Outcome, bytes: number): void {
  if ('error' in outcome) throw outcome.error;
  assert.equal(outcome.report.bytes, bytes);
}

/** Runs what throws or rejects; the error. Throws: when it does neither. */
export async function failureOf(body: () => unknown, what = 'it'): Promise<NodeJS.ErrnoException> {
  try {
    await body();
  } catch (error) {
    assert.ok(error instanceof Error, `${what} failed with ${String(error)}`);
    return error;
  }
  throw new assert.AssertionError({ message: `${what} did not fail` });
}

export async function assertCode(
  body: () => unknown,
  codes: string | readonly string[],
  what?: string,
): Promise<void> {
  const error = await failureOf(body, what);
  const allowed = typeof codes === 'string' ? [codes] : codes;
  assert.ok(allowed.includes(error.code ?? ''), `${what ?? ''}: ${error.code}: ${error.message}`);
}

/**
 * Copies `frame` into a frame of the ring. Memory of a ring is overwritten when it is reserved again:
 * from commit() on it is not the caller's, also when the promise has settled.
 */
export function reserveFor(socket: ZeroCopyPacketSocket, frame: Buffer): Buffer {
  const view = socket.reserve(frame.length);
  assert.equal(view.length, frame.length);
  view.fill(OVERWRITTEN);
  frame.copy(view);
  return view;
}

/** Nothing waits any more, and nothing is with the kernel. */
export function assertIdle(socket: ZeroCopyPacketSocket): void {
  const { pendingBytes, pendingSends } = socket.zeroCopy;
  const queued = [socket.getSendQueueCount(), socket.getSendQueueSize()];
  assert.deepEqual([pendingBytes, pendingSends, ...queued], [0, 0, 0, 0]);
}
