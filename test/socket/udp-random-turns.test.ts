// Turns in which a program does everything at once, each from a seed. One that fails is run again with
// fewer operations, so that the message names the shortest that fails.
import { UDP_FAMILIES, udpEverywhere, type UdpPlace } from '../helpers/udp-place';
import type { UdpFamily } from '../helpers/udp-receiver';

const SEEDS = 25;
const OPERATIONS = 24;

async function failureOf(
  place: UdpPlace,
  type: UdpFamily,
  seed: number,
  operations: number,
): Promise<string | undefined> {
  const params = { ...place.params(type), seed, operations };
  return place.run('udp-random-turn', 'randomTurn', params).then(
    () => undefined,
    (error: Error) => error.message,
  );
}

udpEverywhere('random turns of a UDP socket', (getPlace) => {
  for (const type of UDP_FAMILIES) {
    it(`deliver each datagram once or report why not, and call back once (${type})`, async () => {
      for (let seed = 1; seed <= SEEDS; seed++) {
        let failure = await failureOf(getPlace(), type, seed, OPERATIONS);
        if (failure === undefined) continue;
        let operations = OPERATIONS;
        for (let fewer = 1; fewer < operations; fewer++) {
          const shorter = await failureOf(getPlace(), type, seed, fewer);
          if (shorter === undefined) continue;
          failure = shorter;
          operations = fewer;
        }
        throw new Error(`seed ${seed}, ${operations} operations: ${failure}`);
      }
    });
  }
});
