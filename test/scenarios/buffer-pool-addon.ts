// Stands in for the addon (environment variable MSG_ZEROCOPY_ADDON): the real one, whose openSlab() and
// registerSlab() answer what the environment variable SLAB_ANSWERS says, and are remembered.
import path from 'node:path';

export interface SlabAnswers {
  /** For each kind of pages what openSlab() answers instead of memory. */
  readonly open: Readonly<Record<string, number>>;
  readonly register: number;
}

/** What is remembered, as `globalThis.slabCalls`: bytes and kind of pages; 'register'. */
export type SlabCall = readonly [bytes: number, pages: number] | 'register';

type OpenSlab = (bytes: number, pages: number) => ArrayBuffer | number;

// eslint-disable-next-line @typescript-eslint/no-require-imports
const bindings = require('bindings') as (options: object) => { openSlab: OpenSlab };
const real = bindings({
  bindings: 'msg_zerocopy',
  module_root: path.resolve(__dirname, '../../..'),
});
const answers = JSON.parse(process.env['SLAB_ANSWERS'] ?? '') as SlabAnswers;
const calls: SlabCall[] = [];
(globalThis as unknown as { slabCalls: SlabCall[] }).slabCalls = calls;

module.exports = {
  ...real,
  openSlab: (bytes: number, pages: number): ArrayBuffer | number => {
    calls.push([bytes, pages]);
    // A machine without a reserve of huge pages has ordinary ones to pass for them.
    return answers.open[String(pages)] ?? real.openSlab(bytes, 0);
  },
  registerSlab: (): number => {
    calls.push('register');
    return answers.register;
  },
};
