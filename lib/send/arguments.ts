// What send() accepts, on every kind of socket.
import { isUint8Array } from 'node:util/types';
import { invalidType } from '../errors.js';
import { rejectDetached } from '../memory/detached.js';

export interface SendArguments {
  readonly list: readonly Uint8Array[];
  readonly bytes: number;
  readonly signal: AbortSignal | undefined;
}

/** Checks the arguments of send(). Throws: ERR_INVALID_ARG_TYPE, ERR_ZC_BUFFER_DETACHED. */
export function checkSend(data: unknown, options: unknown): SendArguments {
  const list = (Array.isArray(data) ? data : [data]) as readonly Uint8Array[];
  let bytes = 0;
  for (const item of list) {
    if (!isUint8Array(item)) {
      throw invalidType('data', 'a Buffer, a Uint8Array or an array of them', item);
    }
    rejectDetached(item);
    bytes += item.length;
  }
  if (options !== undefined && (typeof options !== 'object' || options === null)) {
    throw invalidType('options', 'an object', options);
  }
  const signal = (options as { signal?: AbortSignal } | undefined)?.signal;
  if (signal !== undefined && !isAbortSignal(signal)) {
    throw invalidType('options.signal', 'an AbortSignal', signal);
  }
  return { list, bytes, signal };
}

/** Whether `value` is an AbortSignal, of whatever realm: as Node's own check. */
export function isAbortSignal(value: unknown): value is AbortSignal {
  return typeof value === 'object' && value !== null && 'aborted' in value;
}

/** As Node's own for an aborted operation. */
export function abortError(signal: AbortSignal): Error {
  return Object.assign(new Error('The operation was aborted', { cause: signal.reason }), {
    name: 'AbortError',
    code: 'ABORT_ERR',
  });
}
