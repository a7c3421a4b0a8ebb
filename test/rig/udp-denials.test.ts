// Sends that routes and netfilter refuse. A namespace of its own: its filter is not taken back.
import { UDP_FAMILIES, udpRigSuite, udpScenarios } from '../helpers/udp-place';

udpRigSuite('refused datagrams amid zero-copy sends', (getPlace) => {
  udpScenarios(getPlace, 'udp-denials', {
    noRoute: 'fail alone where there is no route',
    refusingRoutes: 'fail alone, with the error of a route that prohibits, swallows or rejects',
  });

  for (const type of UDP_FAMILIES) {
    for (const scenario of ['filtered', 'filteredBatch'] as const) {
      const how = scenario === 'filtered' ? 'one by one' : 'within a batch';
      it(`fail alone when netfilter refuses them ${how}, after their ids were assigned (${type})`, async function () {
        const params = getPlace().params(type);
        const problem = await getPlace().run('udp-denials', scenario, params);
        if (problem === undefined || problem === null) return;
        this.test!.title += ` (skipped: ${problem})`;
        this.skip();
      });
    }
  }
});
