// What sendFile() accepts.
import http from 'node:http';
import net from 'node:net';
import { invalidType, outOfRange } from '../errors.js';
import { namesOf, optionsOf } from '../observe/options-object.js';
import { isAbortSignal } from '../send/arguments.js';
import type { FileName } from './file-source.js';

/** Options of sendFile(). */
export interface SendFileOptions {
  /** Position of the first byte, an integer >= 0 and <= `end`. Default 0. */
  start?: number;
  /** Position of the last byte, inclusive as in createReadStream(): an integer >= 0. Default: the end of the file. */
  end?: number;
  /** Cancels; see sendFile(). */
  signal?: AbortSignal;
}

const NAMES = namesOf<SendFileOptions>({
  start: true,
  end: true,
  signal: true,
});

/** The arguments, checked. */
export interface Wanted {
  readonly target: net.Socket | http.ServerResponse;
  readonly name: FileName;
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  readonly signal: AbortSignal | undefined;
}

/** Warns of options that do not exist. Throws: ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE. */
export function checkSendFile(target: unknown, name: unknown, options: unknown): Wanted {
  if (!(target instanceof net.Socket) && !(target instanceof http.ServerResponse)) {
    throw invalidType('target', 'a net.Socket or an http.ServerResponse', target);
  }
  if (!isFileName(name)) {
    throw invalidType('file', 'a string, a URL, a FileHandle or a descriptor', name);
  }
  if (typeof name === 'number' && (!Number.isInteger(name) || name < 0 || name > 0x7fffffff)) {
    throw outOfRange('file', 'a descriptor >= 0', name);
  }
  const { start, end, signal } = optionsOf(options, NAMES) as SendFileOptions;
  const first = start === undefined ? 0 : position('options.start', start);
  const last = end === undefined || end === Infinity ? Infinity : position('options.end', end);
  if (first > last) throw outOfRange('options.start', `<= options.end (here: ${last})`, first);
  if (signal !== undefined && !isAbortSignal(signal)) {
    throw invalidType('options.signal', 'an AbortSignal', signal);
  }
  return { target, name, start: first, end: last + 1, signal };
}

function isFileName(name: unknown): name is FileName {
  if (typeof name === 'string' || typeof name === 'number' || name instanceof URL) return true;
  return (
    typeof name === 'object' && name !== null && typeof (name as { fd?: unknown }).fd === 'number'
  );
}

function position(name: string, value: unknown): number {
  if (typeof value !== 'number') throw invalidType(name, 'a number of bytes', value);
  if (!Number.isSafeInteger(value) || value < 0) throw outOfRange(name, 'an integer >= 0', value);
  return value;
}
