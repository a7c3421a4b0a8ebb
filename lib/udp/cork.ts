// The datagram that the sends between cork() and uncork() form. It is gathered here and sent as one: the kernel's
// UDP_CORK would always copy, and would join a backlog with what is corked after it.
import type { AsyncResource } from 'node:async_hooks';
import type { SendCallback } from '../datagram/job.js';
import { runInContext } from '../node/callbacks.js';
import type { SendReport } from '../observe/report.js';

/** One send of a corked socket. */
export interface CorkedPart {
  readonly payloads: readonly Uint8Array[];
  readonly bytes: number;
  /** Called when the whole datagram is done. */
  readonly settle: ((error: Error | null, report: SendReport | undefined) => void) | undefined;
}

/** The part of a send with a callback. Without one, copies the bytes, so that they are the caller's again. */
export function callbackPart(
  payloads: readonly Uint8Array[],
  bytes: number,
  callback: SendCallback | undefined,
  resource: AsyncResource | undefined,
  receiver: object,
): CorkedPart {
  if (callback === undefined || resource === undefined) {
    const copies = payloads.map((payload) => Buffer.from(payload));
    return { payloads: copies, bytes, settle: undefined };
  }
  const settle: CorkedPart['settle'] = (error) => {
    if (error === null) runInContext(resource, callback, receiver, null, bytes);
    else runInContext(resource, callback as (error: Error) => void, receiver, error);
  };
  return { payloads, bytes, settle };
}

/** The part of a send with a promise. */
export function promisePart(
  payloads: readonly Uint8Array[],
  bytes: number,
): { part: CorkedPart; promise: Promise<SendReport> } {
  let settle: CorkedPart['settle'];
  const promise = new Promise<SendReport>((resolve, reject) => {
    settle = (error, report) => {
      if (error === null && report !== undefined) resolve(shareOf(report, bytes));
      else reject(error as Error);
    };
  });
  return { part: { payloads, bytes, settle }, promise };
}

// All parts of a datagram travel alike, unless it was cut into segments.
function shareOf(whole: SendReport, bytes: number): SendReport {
  const all = (part: number): number => (part === whole.bytes ? bytes : 0);
  const [zeroCopyBytes, copiedBytes, kernelCopiedBytes] = [
    all(whole.zeroCopyBytes),
    all(whole.copiedBytes),
    all(whole.kernelCopiedBytes),
  ];
  const unknownBytes = bytes - Math.min(bytes, zeroCopyBytes + copiedBytes + kernelCopiedBytes);
  return { ...whole, bytes, zeroCopyBytes, copiedBytes, kernelCopiedBytes, unknownBytes };
}
