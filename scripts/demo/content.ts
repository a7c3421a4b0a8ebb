// What the demo's server sends, and its client expects.

export const BODY_BYTES = 1024 * 1024;

/** The body of every response: no two pages of it are alike. */
export function demoBody(): Buffer {
  const body = Buffer.alloc(BODY_BYTES);
  for (let i = 0; i < BODY_BYTES; i += 4) body.writeUInt32LE(Math.imul(i, 2654435761) >>> 0, i);
  return body;
}
