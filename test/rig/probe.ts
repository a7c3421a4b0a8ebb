// What the tests of the rig itself send and receive by: the C probe, whose sends are all MSG_ZEROCOPY, and a
// receiver that hashes what comes.
import path from 'node:path';
import { type ReceiverReport, type Rig, type RigSideName, rigHelper } from '../../scripts/rig';
import { lineReader } from '../helpers/program';

const RECEIVER = path.join(__dirname, '../../scripts/rig/receiver.js');

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
