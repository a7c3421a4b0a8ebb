// The chunks that a stream hands to _write() and _writev(). Pure.

export interface Chunk {
  readonly chunk: Uint8Array | string;
  readonly encoding: BufferEncoding;
}
