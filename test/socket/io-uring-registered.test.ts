// Memory of the program's that is sent again and again is registered with the ring, and sends from it pin
// nothing. What could go wrong is that other pages are sent than those the program sees: so every send
// has other bytes in the same memory, and each is overwritten when it is handed back.
import { uringEverywhere } from '../helpers/io-uring-suite';

const SCENARIOS = {
  alone: 'is registered, and arrives as it was at each write',
  behindHead: 'is sent behind a head that is copied',
  behindLargePieces: 'behind other pieces goes with them, in one request',
  taken: 'arrives as it was written when it is transferred away behind the write',
  reused: 'that is transferred away is not confused with what comes to its address',
  resizable: 'that may change its size is never registered',
  shared: 'that threads share is never registered',
  spawned: 'stays what the program sees when it starts other programs',
  forked: 'stays what the program sees when it forks',
  givenBack: 'may be given back while the kernel still sends from it',
  ended: 'may be given back when its connection is reset',
  refused: 'that cannot be registered is sent as before',
  headInParts: 'is sent behind a head of which the socket takes a part, or nothing for now',
  headFails: 'is not sent behind a head that cannot be',
} as const;

uringEverywhere('memory that is sent again', (getPlace) => {
  for (const [name, title] of Object.entries(SCENARIOS)) {
    it(title, async () => {
      const { runner, senderHost } = getPlace();
      const zeroCopy = { engine: 'io_uring' as const, threshold: 65_536 };
      const params = { to: getPlace().to(), senderHost, zeroCopy };
      await runner.run('io-uring-registered', name as keyof typeof SCENARIOS, params);
    });
  }
});
