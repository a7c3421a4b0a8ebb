// What is copied is copied when it is written, as it is in plain Node: a program may use the memory again.
import { uringEverywhere } from '../helpers/tcp-place';

const SCENARIOS = {
  oneTurn: 'written in one turn',
  oneByOne: 'written one by one',
  corked: 'written under a cork',
  mixed: 'written between large buffers',
  fromCallbacks: 'written from callbacks',
  manyConnections: 'written on twenty connections',
} as const;

/** The last lies under the threshold by itself, but a run of it does not fit into one staging buffer. */
const SIZES = [4, 1024, 8000] as const;

// The copying engine shows that nothing is asked for that plain Node does not do.
for (const engine of ['io_uring', 'auto', 'copy'] as const) {
  uringEverywhere(`a reused buffer, engine '${engine}'`, (getPlace) => {
    for (const bytes of SIZES) {
      for (const [name, title] of Object.entries(SCENARIOS)) {
        it(`of ${bytes} bytes, ${title}, arrives as written`, async () => {
          const place = getPlace();
          const params = {
            to: place.to(),
            senderHost: place.senderHost,
            // 'auto' pauses over loopback; it must be right all the same.
            zeroCopy: { engine },
            bytes,
          };
          await place.runner.run('io-uring-staging', name as keyof typeof SCENARIOS, params);
        });
      }
    }
  });
}
