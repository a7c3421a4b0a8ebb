// One way to send after the other, with every size, to several destinations or over a connected socket.
import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { DatagramZeroCopyOptions } from '../../lib/index';
import { seededRandom } from '../../scripts/random';
import type { UdpParams } from '../helpers/udp-place';
import { withSession } from '../helpers/udp-session';
import { type Trip, type WayName, WAYS } from '../helpers/udp-ways';

const SENDS = 150;

export interface WayParams extends UdpParams {
  readonly way: WayName;
  readonly connected: 'yes' | 'no';
  readonly zeroCopy: DatagramZeroCopyOptions;
  readonly seed: number;
  /** Default: nothing is lost. */
  readonly loss?: 'none' | 'some';
}

/** Sends in one way. Answers how. */
export async function oneWay(params: WayParams): Promise<{
  readonly zeroCopySends: number;
  readonly kernelCopiedSends: number;
  readonly copiedBytes: number;
  readonly softwareSegments: number;
}> {
  const { connected, zeroCopy } = params;
  const random = seededRandom(params.seed);
  let answer;
  await withSession(params, { zeroCopy, connected }, async (session) => {
    const { socket, out, target, receiver } = session;
    const targets = connected === 'yes' ? [target] : [target, await receiver.target(params.type)];
    const trip: Trip = { socket, out, targets, connected, random };
    for (let i = 0; i < SENDS; i++) {
      void WAYS[params.way](trip);
      if (random() < 0.2) await nextTurn();
      await out.pace();
    }
    await out.verify(params.loss === undefined ? {} : { loss: params.loss });
    assert.deepEqual(out.errors, []);
    const { zeroCopySends, kernelCopiedSends, copiedBytes, softwareSegments } =
      socket.zeroCopy.stats;
    answer = { zeroCopySends, kernelCopiedSends, copiedBytes, softwareSegments };
  });
  assert.ok(answer !== undefined);
  return answer;
}
