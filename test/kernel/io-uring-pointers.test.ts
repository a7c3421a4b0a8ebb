// Memory that is taken away between write() and the end of the turn, when the request is prepared.
import { uringEverywhere } from '../helpers/io-uring-suite';

const SCENARIOS = {
  detached: 'is transferred away',
  detachedAtFirst: 'is transferred away, of the first write of a connection',
  detachedPiece: 'is transferred away, the second of three pieces',
  shrunkToNothing: 'is shrunk to nothing',
  shrunkUnderView: 'is shrunk under a view of a fixed length',
  shrunkInPart: 'is shrunk under a view that follows',
} as const;

uringEverywhere('memory that was written', (getPlace) => {
  for (const [name, title] of Object.entries({
    ...SCENARIOS,
    grown: 'grows in the turn of the write: it is sent',
    detachedWaiting: 'is transferred away while a part of it waits for space: an error',
  })) {
    const inTurn = name in SCENARIOS;
    it(
      inTurn ? `${title} in the turn of the write: an error, nothing is sent` : title,
      async () => {
        const { runner, senderHost } = getPlace();
        const zeroCopy = { engine: 'io_uring' as const };
        const params = { to: getPlace().to(), senderHost, zeroCopy };
        await runner.run('io-uring-pointers', name as keyof typeof SCENARIOS, params);
      },
    );
  }
});
