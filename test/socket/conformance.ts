// One contract for every engine and every family of addresses.
import type { Family, TcpPlace } from '../helpers/tcp-place';
import type { ConformanceParams } from '../scenarios/conformance';

export const ENGINES = ['io_uring', 'msg_zerocopy', 'copy', 'auto'] as const;

const SCENARIOS = {
  callbacks: 'delivers every size and releases memory in write order',
  oneTurn: 'releases memory in write order after many writes in one turn',
  corked: 'delivers headers, bodies, text and a thousand small chunks corked together',
  sendReports: 'accounts for every byte of a send()',
  flushed: 'has released all memory at flush()',
  flushedAfterClose: 'has released all memory at flush() after close',
  echoed: 'does not affect reading',
  halfClosedByPeer: 'goes on writing after the peer has half-closed',
  destroyedMidway: 'delivers what was accepted before destroy(), and nothing else',
  resetByPeer: 'settles every callback when the peer resets',
  serverSide: 'serves connections that a server accepted',
  writtenWhileConnecting: 'delivers what is written while connecting',
  piped: 'takes a pipe',
  switchedOffAndOn: 'is switched off and on between writes',
  everythingForced: 'sends everything zero-copy at threshold 0 and 1',
  smallBudget: 'copies beyond a small budget, at every threshold',
} as const;

/** Defines the tests; one runner serves them all. */
export function conformanceTests(
  getPlace: () => TcpPlace,
  families: readonly Family[],
  engines: readonly (typeof ENGINES)[number][] = ENGINES,
  runnerOf: (place: TcpPlace) => TcpPlace['runner'] = (place) => place.runner,
): void {
  for (const engine of engines) {
    for (const family of families) {
      describe(`engine '${engine}', ${family}`, () => {
        for (const [name, title] of Object.entries(SCENARIOS)) {
          it(title, async () => {
            const place = getPlace();
            const { senderHost } = place;
            const params: ConformanceParams = {
              to: place.to(family),
              zeroCopy: { engine },
              senderHost: family === 'v4-mapped' ? `::ffff:${senderHost}` : senderHost,
            };
            await runnerOf(place).run('conformance', name as keyof typeof SCENARIOS, params);
          });
        }
      });
    }
  }
}
