// The answers of the program's own predicate, options.source. It is user code, so it is called once, within the
// call that passes the memory.
import { isPromise } from 'node:util/types';
import { invalidReturn } from '../errors.js';

const denied = new WeakSet<Uint8Array>();

/** Whether the memory may be sent without copying. */
export function isAllowed(view: Uint8Array): boolean {
  return !denied.has(view);
}

/**
 * Asks about `view`.
 * @returns the view to send: one of its own where the answer is no, as another write of the same object may
 * be answered otherwise
 * Throws: what `ask` throws; ERR_INVALID_RETURN_VALUE for a promise, which would count as yes.
 */
export function asked<View extends Uint8Array>(
  ask: (chunk: Uint8Array) => boolean,
  view: View,
): View | Buffer {
  const answer: unknown = ask(view);
  if (answer === true) return view;
  if (isPromise(answer))
    throw invalidReturn('options.source', 'true or false, not a promise,', answer);
  if (answer) return view;
  const own = Buffer.from(view.buffer, view.byteOffset, view.byteLength);
  denied.add(own);
  return own;
}

/** A part of a view that was asked about; the answer holds for it, too. */
export function partOf(view: Uint8Array, from: number, to: number): Uint8Array {
  const part = view.subarray(from, to);
  if (denied.has(view)) denied.add(part);
  return part;
}
