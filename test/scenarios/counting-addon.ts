// Stands in for the addon (environment variable MSG_ZEROCOPY_ADDON): passes everything on, and counts
// the calls that the native reactor makes into JavaScript; they go to standard error at the end.
import path from 'node:path';
import { performance } from 'node:perf_hooks';

interface Calls {
  calls: number;
  records: number;
  /** Most calls within one turn of the event loop. */
  mostPerTurn: number;
}

const calls: Calls = { calls: 0, records: 0, mostPerTurn: 0 };
let turn = -1;
let inTurn = 0;

function count(records: number): void {
  const timing = performance.nodeTiming as unknown as { uvMetricsInfo: { loopCount: number } };
  const now = timing.uvMetricsInfo.loopCount;
  inTurn = now === turn ? inTurn + 1 : 1;
  turn = now;
  calls.calls++;
  calls.records += records;
  calls.mostPerTurn = Math.max(calls.mostPerTurn, inTurn);
}

type OnRecords = (count: number) => void;
type Start = (words: Uint32Array, onRecords: OnRecords, ...rest: unknown[]) => number;

// eslint-disable-next-line @typescript-eslint/no-require-imports
const bindings = require('bindings') as (options: object) => { start: Start };
const real = bindings({
  bindings: 'msg_zerocopy',
  module_root: path.resolve(__dirname, '../../..'),
});

module.exports = {
  ...real,
  start: (words: Uint32Array, onRecords: OnRecords, ...rest: unknown[]) => {
    const counting: OnRecords = (records) => {
      count(records);
      onRecords(records);
    };
    return real.start(words, counting, ...rest);
  },
};

process.once('exit', () => process.stderr.write(JSON.stringify(calls)));
