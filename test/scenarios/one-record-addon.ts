// Stands in for the addon (environment variable MSG_ZEROCOPY_ADDON): passes everything on, with room for one
// record in the words that JavaScript reads, so that two sockets of one wake-up take two calls, as more than a
// thousand do otherwise. What happened goes to standard error at the end, in order.
import path from 'node:path';
import { performance } from 'node:perf_hooks';

/** A datagram port that was opened or closed, or a record that named one. */
export interface PortEvent {
  readonly what: 'opened' | 'closed' | 'named';
  readonly port: number;
  /** Of the event loop. */
  readonly turn: number;
}

interface Addon {
  readonly constants: { readonly RECORD_WORDS: number };
  start(words: Uint32Array, onRecords: (count: number) => void, ...rest: unknown[]): number;
  openDatagram(...args: unknown[]): number;
  detach(port: number): unknown;
}

// eslint-disable-next-line @typescript-eslint/no-require-imports
const bindings = require('bindings') as (options: object) => Addon;
const real = bindings({
  bindings: 'msg_zerocopy',
  module_root: path.resolve(__dirname, '../../..'),
});

const events: PortEvent[] = [];

function note(what: PortEvent['what'], port: number): void {
  const timing = performance.nodeTiming as unknown as { uvMetricsInfo: { loopCount: number } };
  events.push({ what, port, turn: timing.uvMetricsInfo.loopCount });
}

module.exports = {
  ...real,
  start: (words: Uint32Array, onRecords: (count: number) => void, ...rest: unknown[]) =>
    real.start(
      words.subarray(0, real.constants.RECORD_WORDS + 1),
      (count) => {
        if (count > 0) note('named', words[0] as number);
        onRecords(count);
      },
      ...rest,
    ),
  openDatagram: (...args: unknown[]) => {
    const port = real.openDatagram(...args);
    note('opened', port);
    return port;
  },
  detach: (port: number) => {
    note('closed', port);
    return real.detach(port);
  },
};

process.once('exit', () => process.stderr.write(JSON.stringify(events)));
