// Senders that end in the middle of sending, over loopback.
import { UDP_FAMILIES, udpLoopbackSuite } from '../helpers/udp-place';

udpLoopbackSuite('a sender of datagrams', (getPlace) => {
  for (const type of UDP_FAMILIES) {
    for (const ending of ['close', 'naturally', 'exit', 'exit later', 'throw'] as const) {
      it(`ends as a process: ${ending} (${type})`, async () => {
        const params = { ...getPlace().params(type), ending };
        await getPlace().run('udp-ends', 'ofProcess', params);
      });
    }
    for (const ending of ['stay', 'exit later', 'throw'] as const) {
      const how = ending === 'stay' ? 'terminated' : ending;
      it(`ends as a worker: ${how} (${type})`, async () => {
        const params = { ...getPlace().params(type), ending };
        await getPlace().runAlone([], 'udp-ends', 'ofWorker', params);
      });
    }
  }
});
