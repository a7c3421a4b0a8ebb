// The contract over loopback, without the addon, and where zero copy is real.
import { everywhere, loopbackSuite, type TcpPlace } from '../helpers/tcp-place';
import type { Runner } from '../helpers/runner';
import { conformanceTests } from './conformance';

everywhere('conformance', (getPlace) => {
  it('has a keystream that notices wrong bytes', async () => {
    await getPlace().runner.run('conformance', 'keystreamNotices', undefined);
  });
  conformanceTests(getPlace, ['IPv4']);
});

loopbackSuite('conformance without the addon', (getPlace) => {
  let bare: Runner | undefined;
  const runnerOf = (place: TcpPlace): Runner =>
    (bare ??= place.startRunner([], { MSG_ZEROCOPY_ADDON: 'off' }));
  // Whatever engine is asked for, all is copied; named engines are left to the tests of every family.
  conformanceTests(getPlace, ['IPv4'], ['auto'], runnerOf);
});
