// Memory that changes, or is taken away, behind write().
import { uringEverywhere } from '../helpers/tcp-place';

const SCENARIOS = {
  grown: 'grows in the turn of the write: it is sent',
  detachedWaiting: 'is transferred away while a part of it waits for space: an error',
} as const;

uringEverywhere('memory that was written', (getPlace) => {
  for (const [name, title] of Object.entries(SCENARIOS)) {
    it(title, async () => {
      const { runner, senderHost } = getPlace();
      const zeroCopy = { engine: 'io_uring' as const };
      const params = { to: getPlace().to(), senderHost, zeroCopy };
      await runner.run('io-uring-pointers', name as keyof typeof SCENARIOS, params);
    });
  }
});
