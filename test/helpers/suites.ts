// Suites at the places where two ends can talk (scripts/place.ts): over loopback, and over the rig, where the
// kernel really sends from the program's memory and a premature release cannot hide.
import assert from 'node:assert/strict';
import { capabilities } from '../../lib/index';
import { Place, type PlaceName } from '../../scripts/place';
import { type Obstacle, type Rig, type RigOptions, rigUnavailable } from '../../scripts/rig';
import { namespacesUnavailable } from '../../scripts/rig/availability';

const VETH_MTU = 1500;
const WHERE = { loopback: 'loopback', veth: 'a veth pair', rig: 'the rig' } as const;

export const loopback = Place.open('loopback');

/** One pending test that says why others are not there; with CI set and as root, a failure instead. */
export function missing(what: string, why: string): void {
  if (process.env['CI'] && process.geteuid?.() === 0) it(`has ${what}`, () => assert.fail(why));
  else it(`skipped: ${why}`);
}

function obstacleOf(name: PlaceName): Obstacle | undefined {
  if (name === 'loopback') return undefined;
  return name === 'rig' ? rigUnavailable() : namespacesUnavailable();
}

/** How a suite comes by what its tests use, and what goes after its last. */
interface Surroundings<T> {
  readonly open: (place: Place) => T | Promise<T>;
  readonly close?: (opened: T) => unknown;
  readonly options?: RigOptions | undefined;
}

function suite<T>(
  title: string,
  name: PlaceName,
  { open, close, options = {} }: Surroundings<T>,
  body: (get: () => T) => void,
): void {
  describe(title, () => {
    const obstacle = obstacleOf(name);
    if (obstacle !== undefined) {
      missing('namespaces of its own', `${obstacle.reason} (remedy: ${obstacle.remedy})`);
      return;
    }
    let place: Place | undefined;
    let opened: { readonly value: T } | undefined;
    before(async () => {
      place = Place.open(name, options, VETH_MTU);
      opened = { value: await open(place) };
    });
    after(async () => {
      if (opened !== undefined) await close?.(opened.value);
      assert.deepEqual(place?.close(), [], 'these namespaces are still there');
    });
    body(() => {
      assert(opened !== undefined, 'the place stands only while tests run: ask inside a test');
      return opened.value;
    });
  });
}

/** What a suite's tests use of a place. */
export interface Opened {
  close(): Promise<void>;
}

/** The same suite at each of these places. */
export function suitesAt<T extends Opened>(
  names: readonly PlaceName[],
  title: string,
  open: (place: Place) => T | Promise<T>,
  body: (get: () => T) => void,
  options?: RigOptions,
): void {
  const surroundings = { open, close: (opened: T) => opened.close(), options };
  for (const name of names) suite(`${title}, over ${WHERE[name]}`, name, surroundings, body);
}

/** Suites of what tests use of a place, at one place each or at several. */
export function suitesOf<T extends Opened>(open: (place: Place) => Promise<T>) {
  type Body = (get: () => T) => void;
  type Rigged = T & { readonly rig: Rig };
  return {
    loopback: (title: string, body: Body): void => suitesAt(['loopback'], title, open, body),
    /** Pending, with the reason, where there can be no rig. */
    rig(title: string, body: (get: () => Rigged) => void, options?: RigOptions): void {
      suitesAt(['rig'], title, open as (place: Place) => Promise<Rigged>, body, options);
    },
    everywhere: (title: string, body: Body): void =>
      suitesAt(['loopback', 'rig'], title, open, body),
  };
}

/** A suite with one rig, built before its first test and gone after its last. */
export function rigSuite(
  title: string,
  body: (getRig: () => Rig) => void,
  options?: RigOptions,
): void {
  suite(title, 'rig', { open: ({ rig }) => rig as Rig, options }, body);
}

/** The same suite on loopback and on the rig. */
export function describePlaces(title: string, body: (getPlace: () => Place) => void): void {
  describe(`${title}, on loopback`, () => body(() => loopback));
  const open = (place: Place): Place => {
    place.growSendBuffers();
    return place;
  };
  suite(`${title}, on the rig`, 'rig', { open }, body);
}

/** A suite of tests that send by io_uring. */
export function uringSuite(title: string, body: () => void): void {
  describe(title, () => {
    const { support, reason } = capabilities().tcp.io_uring;
    if (support === 'yes') body();
    else missing('io_uring', `no io_uring here: ${reason}`);
  });
}
