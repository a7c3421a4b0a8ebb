// The frames that follow an upgrade, as both ends know them: length and opcode in a header, and the
// payload behind it.

export const FRAMES = 60;
export const FRAME_HEADER_BYTES = 10;
export const FRAME_START = 0x827f;

const PAYLOADS = [10, 70_000, 900, 200_000, 0, 33_000] as const;

/** Bytes of a frame's payload. */
export function frameBytes(index: number): number {
  return PAYLOADS[index % PAYLOADS.length] as number;
}
