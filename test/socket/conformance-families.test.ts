// The contract over the other families of addresses, and without the addon for each engine that is asked for.
import { everywhere, FAMILIES, loopbackSuite, type TcpPlace } from '../helpers/tcp-place';
import type { Runner } from '../helpers/runner';
import { conformanceTests, ENGINES } from './conformance';

everywhere('conformance', (getPlace) => conformanceTests(getPlace, ['IPv6', 'v4-mapped']));

loopbackSuite('conformance without the addon', (getPlace) => {
  let bare: Runner | undefined;
  const runnerOf = (place: TcpPlace): Runner =>
    (bare ??= place.startRunner([], { MSG_ZEROCOPY_ADDON: 'off' }));
  conformanceTests(getPlace, FAMILIES, ENGINES, runnerOf);
});
