// Memory of our own for small bytes that ride in front of or behind a zero-copy chunk (an HTTP
// header). A slab is never written twice: it is left to the garbage collector when it is full, which
// the sends that still reference it delay.

const SLAB_BYTES = 64 * 1024;

let slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
let used = 0;

function reserve(bytes: number): number {
  if (bytes > SLAB_BYTES - used) {
    slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, bytes));
    used = 0;
  }
  const at = used;
  used += bytes;
  return at;
}

/** Copies `chunk` into memory that nobody else writes. */
export function stageBytes(chunk: Uint8Array): Buffer {
  const at = reserve(chunk.length);
  slab.set(chunk, at);
  return slab.subarray(at, at + chunk.length);
}

/** Encodes `text` into memory that nobody else writes. */
export function stageText(text: string, encoding: BufferEncoding): Buffer {
  // Three bytes for each UTF-16 unit is the most that any of Node's encodings makes.
  const most = text.length * 3;
  if (most > SLAB_BYTES / 4) return Buffer.from(text, encoding);
  const at = reserve(most);
  const length = slab.write(text, at, encoding);
  used = at + length;
  return slab.subarray(at, at + length);
}
