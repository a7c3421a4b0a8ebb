// What one run of the self-test is: which socket sends what, and how. The list of runs that an
// invocation asks for, and how much fits into one message of each.

export const MODES = ['tcp', 'udp', 'raw', 'raw_hdrincl', 'packet', 'packet_dgram'] as const;
/** The sending socket: its kind, and for raw and packet sockets who writes the headers. */
export type Mode = (typeof MODES)[number];

export const FAMILIES = [4, 6] as const;
export type Family = (typeof FAMILIES)[number];

export interface Trial {
  readonly family: Family;
  readonly mode: Mode;
  /** Whether zero copy is asked for; else everything is copied. */
  readonly zeroCopy: boolean;
  /** Pieces that each message is written in, corked; absent: one, not corked. */
  readonly cork?: number;
  /** Every other piece is copied, starting with the first. */
  readonly mixed: boolean;
  /** Bytes of one message: of a datagram's payload, or of one write to a stream. */
  readonly bytes: number;
  readonly seconds: number;
}

/** What an invocation asks for; `bytes` absent: as many as fit. */
export interface Wish {
  readonly mode: Mode | 'all';
  readonly families: readonly Family[];
  readonly zeroCopy: boolean;
  readonly cork?: number;
  readonly mixed: boolean;
  readonly bytes?: number;
  readonly seconds?: number;
}

/** The kernel's own self-test sends so much: what an IPv6 datagram holds beside long headers. */
const LARGEST_MESSAGE_BYTES = 65_435;
const IPV6_HEADER_BYTES = 40;
const IPV4_HEADER_BYTES = 20;
const UDP_HEADER_BYTES = 8;

const SINGLE_SECONDS = 1;
const MATRIX_SECONDS = 0.3;
const MATRIX_CORK = 4;

export function isCorkable(mode: Mode): boolean {
  return mode === 'tcp' || mode === 'udp';
}

/** The IP header that the sender itself must write, and what follows it. */
export function headerBytes(mode: Mode, family: Family): number {
  const ip = family === 6 ? IPV6_HEADER_BYTES : IPV4_HEADER_BYTES;
  if (mode === 'raw_hdrincl') return ip;
  return mode === 'packet' || mode === 'packet_dgram' ? ip + UDP_HEADER_BYTES : 0;
}

/** A message that fits into one packet of the device, so that nothing is fragmented. */
function fittingBytes(mode: Mode, mtu: number): number {
  if (mode === 'tcp') return LARGEST_MESSAGE_BYTES;
  return Math.min(LARGEST_MESSAGE_BYTES, mtu - IPV6_HEADER_BYTES - UDP_HEADER_BYTES);
}

/** Why a trial's messages cannot be sent, or undefined. The kernel fragments only its own packets. */
export function misfit(
  { mode, family, bytes }: Trial,
  mtu: number | undefined,
): string | undefined {
  const headers = headerBytes(mode, family);
  if (mode !== 'tcp' && bytes > LARGEST_MESSAGE_BYTES) {
    return `${bytes} bytes are more than ${LARGEST_MESSAGE_BYTES}, which a datagram may have here`;
  }
  if (headers === 0 || mtu === undefined || bytes + headers <= mtu) return undefined;
  return `${bytes} bytes and ${headers} of headers do not fit into an MTU of ${mtu}`;
}

/** The runs asked for. @param mtu of the device they go out on; decides how large messages are */
export function trialsOf(wish: Wish, mtu: number): Trial[] {
  const modes = wish.mode === 'all' ? MODES : [wish.mode];
  const trial = (family: Family, mode: Mode, how: Partial<Trial>): Trial => ({
    family,
    mode,
    zeroCopy: false,
    mixed: false,
    bytes: wish.bytes ?? fittingBytes(mode, mtu),
    seconds: wish.seconds ?? (wish.mode === 'all' ? MATRIX_SECONDS : SINGLE_SECONDS),
    ...how,
  });
  const { zeroCopy, mixed, cork } = wish;
  const single = { zeroCopy, mixed, ...(cork === undefined ? {} : { cork }) };
  return wish.families.flatMap((family) =>
    modes.flatMap((mode) => {
      if (wish.mode !== 'all') return [trial(family, mode, single)];
      const kept = waysOf(mode).filter((way) => way.zeroCopy === true || !zeroCopy);
      return kept.map((way) => trial(family, mode, way));
    }),
  );
}

function waysOf(mode: Mode): Partial<Trial>[] {
  const plain = [{ zeroCopy: false }, { zeroCopy: true }];
  if (!isCorkable(mode)) return plain;
  const corked = plain.map((way) => ({ ...way, cork: MATRIX_CORK }));
  return [...plain, ...corked, { zeroCopy: true, cork: MATRIX_CORK, mixed: true }];
}

/** The trial's options as they would be given. */
export function optionsText({ zeroCopy, cork, mixed }: Trial): string {
  const words = [];
  if (zeroCopy) words.push('-z');
  if (cork !== undefined) words.push(`-c ${cork}`);
  if (mixed) words.push('-m');
  return words.join(' ');
}

export function titleOf(trial: Trial): string {
  return `ipv${trial.family} ${trial.mode} ${optionsText(trial)}`.trimEnd();
}
