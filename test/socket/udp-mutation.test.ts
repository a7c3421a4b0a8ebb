// detectMutation on datagrams: where the kernel copies after all, and where it sends from the program's memory.
import assert from 'node:assert/strict';
import { UDP_FAMILIES, udpEverywhere } from '../helpers/udp-place';

const TITLES = {
  changed: 'finds a changed byte, and names who sent it; warns once of a place',
  detached: 'finds a detached buffer',
  thrown: "emits 'error' with 'throw'",
} as const;

udpEverywhere('datagrams changed too early', (getPlace) => {
  for (const type of UDP_FAMILIES) {
    for (const [scenario, title] of Object.entries(TITLES)) {
      it(`${title} (${type})`, async () => {
        const params = getPlace().params(type);
        // Warnings are not printed, and emitted all the same.
        const quiet = ['env', 'NODE_NO_WARNINGS=1'];
        const name = scenario as keyof typeof TITLES;
        await getPlace().runAlone(quiet, 'udp-mutation', name, params);
      });
    }

    it(`reports none of 2,000 sends that keep the rule (${type})`, async () => {
      const answer = await getPlace().run('udp-mutation', 'clean', getPlace().params(type));
      assert.ok(answer.zeroCopySends > 500, `${answer.zeroCopySends} zero-copy sends`);
    });
  }
});
