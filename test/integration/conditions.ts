// Under which conditions each integration runs: engines, places, versions of Node; and what must have
// happened wherever zero copy was asked for by name.
import assert from 'node:assert/strict';
import { capabilities, type ZeroCopyOptions } from '../../lib/index';
import { type Place } from '../../scripts/place';
import { describePlaces, loopback } from '../helpers/suites';
import { type Program, startProgram } from '../helpers/program';
import { forEachTestNode } from '../helpers/test-nodes';

export interface Conditions {
  readonly place: Place;
  readonly options: ZeroCopyOptions;
  /** The Node that runs the upgraded end. */
  readonly node: string;
}

const ENGINES = ['msg_zerocopy', 'io_uring'] as const;

// Everything goes zero-copy: also where the kernel reports copies, as over loopback.
function forEachEngine(body: (options: ZeroCopyOptions) => void): void {
  for (const engine of ENGINES) {
    describe(engine, () => {
      const { tcp } = capabilities();
      const { support, reason } = engine === 'io_uring' ? tcp.io_uring : tcp.msg_zerocopy.ipv4;
      if (support === 'yes') return body({ engine, threshold: 1 });
      if (process.env['CI'] && process.geteuid?.() === 0) {
        it(`has ${engine}`, () => assert.fail(reason));
      } else {
        it(`skipped: no ${engine} here: ${reason}`);
      }
    });
  }
}

/**
 * Declares the tests of `body` for both engines on both places, and over loopback under each version of Node
 * that is named.
 */
export function underAllConditions(
  title: string,
  body: (getConditions: () => Conditions) => void,
): void {
  describePlaces(title, (getPlace) =>
    forEachEngine((options) =>
      body(() => ({ place: getPlace(), options, node: process.execPath })),
    ),
  );
  describe(`${title}, under other versions of Node`, () =>
    forEachTestNode((node, version) =>
      describe(version, () =>
        forEachEngine((options) => body(() => ({ place: loopback, options, node }))),
      ),
    ));
}

/** Starts a program of this folder at the upgraded end. */
export function startUpgraded(name: string, given: object, { place, node }: Conditions): Program {
  return startProgram(name, given, { place, node, side: 'sender' });
}

/** Starts a program that does nothing for zero copy at the upgraded end. @param how for Node's command line */
export function startRegistered(
  name: string,
  given: object,
  { place, node, options }: Conditions,
  how: '--import' | '--require' = '--import',
): Program {
  return startProgram(name, given, {
    ...{ place, node, side: 'sender', nodeOptions: [how, 'msg-zerocopy/register'] },
    env: {
      MSG_ZEROCOPY_ENGINE: String(options.engine),
      MSG_ZEROCOPY_THRESHOLD: String(options.threshold),
    },
  });
}

/** Starts a program of this folder at the other end. */
export function startPlain(name: string, given: object, { place }: Conditions): Program {
  return startProgram(name, given, { place, side: 'receiver' });
}

/** What a program tells of its sends. */
interface Sent {
  readonly zeroCopyBytes: number;
  readonly zeroCopySends: number;
  readonly kernelCopiedSends: number;
}

/**
 * At least so many bytes went zero-copy: by the rig without a copy, by loopback with the kernel's.
 * @param fileBytes how many of them were piped from files
 */
export function assertZeroCopy(
  sent: Sent,
  bytes: number,
  { place }: Conditions,
  fileBytes = 0,
): void {
  const { zeroCopyBytes, zeroCopySends, kernelCopiedSends } = sent;
  // Of a file, a few bytes go by libuv each time the socket is full.
  const least = bytes - 0.01 * fileBytes;
  assert.ok(zeroCopyBytes >= least, `${zeroCopyBytes} of at least ${bytes} bytes went zero-copy`);
  if (place !== loopback) assert.equal(kernelCopiedSends, 0, `of ${zeroCopySends} sends`);
}
