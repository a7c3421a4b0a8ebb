// A rig for a test suite, and the two programs most of its tests run: a receiver that says what
// arrived, and a sender written in C that counts its completions.
import assert from 'node:assert';
import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';

import {
  type ReceiverReport,
  Rig,
  type RigOptions,
  type RigSideName,
  rigHelper,
  rigUnavailable,
} from '../../scripts/rig';

const RECEIVER = path.join(__dirname, '../../scripts/rig/receiver.js');

/**
 * A suite with one rig, built before its first test and gone after its last. Where there can be no
 * rig, one pending test says why; with CI set and as root, that is a failure instead.
 */
export function rigSuite(
  title: string,
  body: (getRig: () => Rig) => void,
  options: RigOptions = {},
): void {
  describe(title, () => {
    const unavailable = rigUnavailable();
    if (unavailable !== undefined) {
      const problem = `${unavailable.reason} (remedy: ${unavailable.remedy})`;
      if (process.env['CI'] && process.geteuid?.() === 0) {
        it('has a rig', () => assert.fail(problem));
      } else {
        it(`skipped: ${problem}`);
      }
      return;
    }
    let rig: Rig | undefined;
    before(() => {
      rig = Rig.up(options);
    });
    after(() => rig?.down());
    body(() => {
      assert(rig !== undefined, 'the rig stands only while tests run: ask inside a test');
      return rig;
    });
  });
}

/** A receiver that listens. */
export interface Receiver {
  readonly port: number;
  /** The report of the next connection to end, in the order in which they end. */
  nextReport(): Promise<ReceiverReport>;
  /** Ends the program; settles when it is gone. */
  stop(): Promise<void>;
}

/** Starts a receiver on the given side (usually 'receiver'), listening on `address`. */
export async function startReceiver(
  rig: Rig,
  side: RigSideName,
  address: string,
): Promise<Receiver> {
  const child = rig.spawn(side, [process.execPath, RECEIVER, address], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const nextLine = lineReader(child);
  const { port } = JSON.parse(await nextLine()) as { port: number };
  return {
    port,
    nextReport: async () => JSON.parse(await nextLine()) as ReceiverReport,
    stop: async () => {
      child.kill('SIGTERM');
      await closed;
    },
  };
}

/** What the C sender saw. Every send was MSG_ZEROCOPY; `copied` of them came back as copied. */
export interface ProbeResult {
  readonly sends: number;
  readonly completed: number;
  readonly copied: number;
}

/**
 * Sends the first `bytes` bytes of the pattern (see patternHash) from the sender in 64 KiB pieces.
 * Settles: when every send has completed; the receiver may still be reading.
 */
export async function runProbe(
  rig: Rig,
  to: { readonly address: string; readonly port: number; readonly bytes: number },
): Promise<ProbeResult> {
  const argv = [rigHelper(), 'zc-probe', to.address, String(to.port), String(to.bytes)];
  const child = rig.spawn('sender', argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  return JSON.parse(await lineReader(child)()) as ProbeResult;
}

/** Reads a child's standard output line by line; fails when it ends before the line asked for. */
export function lineReader(child: ChildProcess): () => Promise<string> {
  assert(child.stdout !== null, 'the child needs a pipe for its standard output');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return async () => {
    const next = await lines.next();
    if (next.done === true) {
      throw new Error(`${child.spawnargs.join(' ')}: ended without another line`);
    }
    return next.value;
  };
}
