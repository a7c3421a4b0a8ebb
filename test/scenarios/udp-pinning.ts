// A sender that ends with datagrams in the queue, as a process or as a worker: nothing wrong may arrive
// although its memory is gone. See udp-ends.ts.
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { createUdpSocket } from '../../lib/index';
import { OVERWRITTEN } from '../../scripts/pattern';
import { argument, print } from '../helpers/program-side';
import { fillDatagram } from '../helpers/udp-datagrams';

export interface PinningArgument {
  readonly type: 'udp4' | 'udp6';
  readonly address: string;
  readonly port: number;
  readonly stream: number;
  readonly count: number;
  readonly ending: 'naturally' | 'close' | 'exit' | 'exit later' | 'stay' | 'throw';
}

const SEGMENT_BYTES = 1200;
const SEGMENTS = 20;

function row(stream: number, first: number): Buffer {
  const data = Buffer.allocUnsafeSlow(SEGMENT_BYTES * SEGMENTS);
  for (let i = 0; i < SEGMENTS; i++) {
    const at = i * SEGMENT_BYTES;
    fillDatagram(data.subarray(at, at + SEGMENT_BYTES), stream, first + i);
  }
  return data;
}

function tell(line: object): void {
  if (isMainThread) print(line);
  else parentPort?.postMessage(line);
}

function main(given: PinningArgument): void {
  const { type, port, address, stream, count, ending } = given;
  const zeroCopy = { engine: 'msg_zerocopy', threshold: 0 } as const;
  const socket = createUdpSocket({ type, zeroCopy, sendBufferSize: 4 * 1024 * 1024 });
  socket.bind(0, () => {
    let handed = 0;
    for (let i = 0; i < count; i++) {
      const data = row(stream, i * SEGMENTS);
      const sent = socket.send(data, { port, address, segmentSize: SEGMENT_BYTES });
      const done = (): void => {
        data.fill(OVERWRITTEN);
        tell({ handed: ++handed });
      };
      sent.then(done, done);
    }
    if (ending === 'exit') process.exit(3);
    if (ending === 'close') socket.close();
    if (ending === 'naturally') socket.unref();
    setImmediate(() => {
      tell({ pending: socket.zeroCopy.pendingSends });
      if (ending === 'exit later') process.exit(3);
      if (ending === 'throw') throw new Error('the end');
    });
  });
}

main(isMainThread ? argument<PinningArgument>() : (workerData as PinningArgument));
