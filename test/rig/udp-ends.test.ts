// Senders that end with datagrams in a queue that stands still.
import { UDP_FAMILIES, udpRigSuite } from '../helpers/udp-place';

udpRigSuite('a sender with queued datagrams', (getPlace) => {
  beforeEach(() => getPlace().run('udp-queues', 'flowing', getPlace().params('udp4')));

  for (const type of UDP_FAMILIES) {
    for (const ending of ['close', 'exit', 'exit later', 'throw'] as const) {
      it(`ends as a process: ${ending} (${type})`, async () => {
        const params = { ...getPlace().params(type), ending };
        await getPlace().run('udp-ends', 'ofProcess', params);
      });
    }

    for (const ending of ['stay', 'exit', 'exit later', 'throw'] as const) {
      const how = ending === 'stay' ? 'terminated' : ending;
      it(`ends as a worker: ${how}; its memory is reused (${type})`, async () => {
        const params = { ...getPlace().params(type), ending };
        await getPlace().runAlone([], 'udp-ends', 'ofWorker', params);
      });
    }
  }
});
