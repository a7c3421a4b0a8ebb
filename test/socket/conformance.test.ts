// One contract for every engine, also where the addon does not load.
import { conformanceTests } from '../helpers/conformance-suite';
import { loopbackSuite, type Place } from '../helpers/place';
import type { Runner } from '../helpers/runner';

loopbackSuite('conformance', (getPlace) => {
  it('has a keystream that notices wrong bytes', async () => {
    await getPlace().runner.run('conformance', 'keystreamNotices', undefined);
  });
  conformanceTests(getPlace);
});

loopbackSuite('conformance without the addon', (getPlace) => {
  let bare: Runner | undefined;
  const runnerOf = (place: Place): Runner =>
    (bare ??= place.startRunner([], { MSG_ZEROCOPY_ADDON: 'off' }));
  conformanceTests(getPlace, runnerOf);
});
