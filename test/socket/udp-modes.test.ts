// Every way to send datagrams, over loopback, where the kernel copies what it was not to copy.
import assert from 'node:assert/strict';
import { UDP_FAMILIES, udpLoopbackSuite } from '../helpers/udp-place';
import { FORCED } from '../helpers/udp-session';
import { WAY_TITLES, type WayName } from '../helpers/udp-ways';

/** Nobody waits for the one, and the kernel copies the other whoever asks it not to. */
const COPIED = new Set(['silent', 'corked']);

const ENGINES = { forced: FORCED, auto: { engine: 'auto' }, copy: { engine: 'copy' } } as const;

udpLoopbackSuite('datagrams', (getPlace) => {
  for (const type of UDP_FAMILIES) {
    for (const [name, zeroCopy] of Object.entries(ENGINES)) {
      describe(`${type}, ${name}`, () => {
        for (const [way, title] of Object.entries(WAY_TITLES)) {
          for (const connected of ['no', 'yes'] as const) {
            it(`${title}${connected === 'yes' ? ', connected' : ''}`, async () => {
              const params = { ...getPlace().params(type), way: way as WayName, connected };
              const seeded = { ...params, zeroCopy, seed: way.length };
              const sent = await getPlace().run('udp-modes', 'oneWay', seeded);
              if (name === 'copy') assert.equal(sent.zeroCopySends, 0);
              if (name === 'forced' && !COPIED.has(way)) assert.ok(sent.zeroCopySends > 0);
              if (way === 'silent') assert.equal(sent.zeroCopySends, 0);
            });
          }
        }
      });
    }
  }
});
