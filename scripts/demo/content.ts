// What the demo's server sends, and its client expects.
import { streamBytes } from '../pattern.js';

export const BODY_BYTES = 1024 * 1024;

/** The body of every response: no two pages of it are alike. */
export function demoBody(): Buffer {
  return streamBytes(1, BODY_BYTES);
}
