// Everything at once, in an order that a seed decides.
import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { between, seededRandom } from '../../scripts/random';
import type { UdpParams } from '../helpers/udp-place';
import type { Target } from '../helpers/udp-receiver';
import { connectUdp, FORCED, withSession } from '../helpers/udp-session';
import { type Trip, type WayName, WAYS } from '../helpers/udp-ways';

const NAMES = Object.keys(WAYS) as WayName[];
const OPERATIONS = 2500;
/** Refused before or by the kernel; none of them has an id, or each has one that must be counted. */
const ALLOWED = new Set(['ENETUNREACH', 'EACCES', 'EMSGSIZE', 'EINVAL', 'ABORT_ERR']);

export interface MixedParams extends UdpParams {
  readonly seed: number;
  readonly loss: 'none' | 'some';
}

export interface MixedAnswer {
  readonly sends: number;
  readonly failed: number;
  readonly zeroCopySends: number;
  readonly kernelCopiedSends: number;
  readonly ways: number;
}

// Sends that cannot arrive, each with a callback and memory of its own.
function fail(trip: Trip, type: 'udp4' | 'udp6'): void {
  const { socket, out, targets, random } = trip;
  const target = targets[0] as Target;
  const to = { port: target.port, address: target.address };
  const draw = random();
  if (draw < 0.3) {
    const parcel = out.take(target, between(random, 0, 1400));
    const nowhere = type === 'udp4' ? '255.255.255.255' : '::ffff:255.255.255.255';
    return socket.send(parcel.data, target.port, nowhere, out.releaseCallback(parcel));
  }
  if (draw < 0.6) {
    const parcel = out.take(target, 65_536);
    return socket.send(parcel.data, to.port, to.address, out.releaseCallback(parcel));
  }
  const signal = AbortSignal.abort();
  const parcel = out.take(target, between(random, 0, 5000));
  void out.promised(parcel, socket.send(parcel.data, { ...to, signal }));
}

async function step(trip: Trip, type: 'udp4' | 'udp6'): Promise<void> {
  const { random, socket, out } = trip;
  const draw = random();
  if (draw < 0.06) fail(trip, type);
  else {
    const name = NAMES[between(random, 0, NAMES.length - 1)] as WayName;
    void WAYS[name](trip);
  }
  if (random() < 0.15) await nextTurn();
  if (random() < 0.01) await socket.zeroCopy.flush();
  await out.pace();
}

/** A few thousand operations on a socket that is connected in between. */
export async function mixed(params: MixedParams): Promise<MixedAnswer> {
  const random = seededRandom(params.seed);
  let answer: MixedAnswer | undefined;
  const options = { zeroCopy: { ...FORCED, threshold: 600 } };
  await withSession(params, options, async (session) => {
    const { socket, out, target, receiver } = session;
    const targets = [
      target,
      await receiver.target(params.type),
      await receiver.target(params.type),
    ];
    const open: Trip = { socket, out, targets, connected: 'no', random };
    const closed: Trip = { ...open, targets: [target], connected: 'yes' };
    for (let i = 0; i < OPERATIONS;) {
      for (const end = i + between(random, 50, 400); i < end; i++) {
        await step(open, params.type);
      }
      await out.settled();
      await connectUdp(socket, target);
      for (const end = i + between(random, 20, 100); i < end; i++) {
        void WAYS[NAMES[between(random, 0, NAMES.length - 1)] as WayName](closed);
        await out.pace();
      }
      await out.settled();
      socket.disconnect();
    }
    await out.verify({ loss: params.loss });
    const unexpected = out.errors.filter((code) => !ALLOWED.has(code));
    assert.deepEqual(unexpected, []);
    const { zeroCopySends, kernelCopiedSends } = socket.zeroCopy.stats;
    answer = {
      sends: out.begun,
      failed: out.errors.length,
      zeroCopySends,
      kernelCopiedSends,
      ways: NAMES.length,
    };
  });
  assert.ok(answer !== undefined);
  return answer;
}
