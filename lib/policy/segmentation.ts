// Remembers routes that refuse segmentation by the kernel or a device (UDP_SEGMENT), so that this package cuts
// the datagrams. Pure: callers pass the clock.

/** What identifies a route: the peer's address; absent on a connected socket. */
interface Routed {
  readonly name?: Uint8Array | undefined;
}

/** Routes change and devices are replaced: after this long a refusal is tried again. */
const FORGET_AFTER_MS = 60_000;
/** Beyond this many routes the oldest refusals are forgotten. */
const MOST_ROUTES = 1024;

const EIO = 5;
const EINVAL = 22;
const EMSGSIZE = 90;
const ENOPROTOOPT = 92;
const EOPNOTSUPP = 95;

/**
 * Whether an errno of a send with UDP_SEGMENT may mean that the same datagrams would go one by one:
 * the device has no checksum offload (EIO), a segment is longer than the route's MTU (EINVAL,
 * EMSGSIZE since Linux 6.14), the kernel is older than 4.18 (EINVAL, EOPNOTSUPP, ENOPROTOOPT).
 * Source: net/ipv4/udp.c:udp_send_skb.
 */
export function refusesSegmentation(errno: number): boolean {
  return (
    errno === EIO ||
    errno === EINVAL ||
    errno === EMSGSIZE ||
    errno === EOPNOTSUPP ||
    errno === ENOPROTOOPT
  );
}

interface Refusal {
  readonly atMs: number;
  /** Segments of this size and more are refused; 0: all. */
  readonly fromBytes: number;
}

export class SegmentationRoutes {
  readonly #refusals = new Map<string, Refusal>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Whether the route refused segments of this size lately. */
  refuses(route: Routed, segmentSize: number): boolean {
    if (this.#refusals.size === 0) return false;
    const refusal = this.#refusals.get(keyOf(route));
    if (refusal === undefined || segmentSize < refusal.fromBytes) return false;
    return this.#now() - refusal.atMs < FORGET_AFTER_MS;
  }

  /** The route refused with `errno`; too long a segment says nothing of shorter ones. */
  refused(route: Routed, segmentSize: number, errno: number): void {
    const key = keyOf(route);
    const tooLong = errno === EINVAL || errno === EMSGSIZE;
    this.#refusals.delete(key);
    this.#refusals.set(key, { atMs: this.#now(), fromBytes: tooLong ? segmentSize : 0 });
    if (this.#refusals.size <= MOST_ROUTES) return;
    const [oldest] = this.#refusals.keys();
    if (oldest !== undefined) this.#refusals.delete(oldest);
  }

  /** The socket has another peer. */
  forget(): void {
    this.#refusals.clear();
  }
}

// Without the port, which no route depends on.
function keyOf(route: Routed): string {
  if (route.name === undefined) return '';
  return Buffer.from(route.name).toString('latin1', 4);
}
