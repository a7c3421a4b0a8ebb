// What the ways of udp-ways.ts are called in the titles of tests.
import type { WayName } from './udp-ways';

export const WAY_TITLES: Readonly<Record<WayName, string>> = {
  callback: 'delivers what a callback waits for',
  slice: 'delivers part of a buffer',
  promise: 'delivers what a promise waits for',
  pieces: 'delivers datagrams of several pieces',
  silent: 'delivers what nobody waits for, whose memory changes at once',
  many: 'delivers batches to addresses of their own',
  manyBare: 'delivers batches to one address',
  segments: 'delivers rows of segments',
  manySegments: 'delivers batches of rows of segments',
  corked: 'delivers datagrams corked together',
};
