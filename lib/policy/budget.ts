// How many bytes may be pinned, and how many of those at present. Pure: numbers in, numbers out.

/** Default of `maxPendingBytes`: four times the largest default send buffer (tcp_wmem, 4 MiB). */
export const DEFAULT_SOCKET_BUDGET_BYTES = 16 * 1024 * 1024;

/** So much is little next to what a process that sends has in use. */
const MODEST_PROCESS_BUDGET_BYTES = 256 * 1024 * 1024;

export interface PinLimits {
  /** Soft RLIMIT_MEMLOCK in bytes; -1 when unlimited. */
  readonly memlockBytes: number;
  /** CAP_IPC_LOCK is effective: memlock is not charged. */
  readonly ipcLock: boolean;
  /** Memory that the process may use: the machine's, or its container's. */
  readonly memoryBytes: number;
  /** CPUs that the process may use. A cluster has a process for each, and they share the memory. */
  readonly cpus: number;
}

/**
 * Bytes that this process may pin: of an eighth of memory one CPU's share, or 256 MiB where the share is smaller; at most
 * RLIMIT_MEMLOCK unless privileged. A thousand connections have gigabytes in their send buffers (tcp_wmem), and what
 * is beyond the budget is copied. The kernel charges memlock to the user, so other processes may leave less, and sends then
 * fail with ENOBUFS.
 */
export function processBudgetBytes(limits: PinLimits): number {
  const eighth = limits.memoryBytes / 8;
  const share = Math.max(Math.min(eighth, MODEST_PROCESS_BUDGET_BYTES), eighth / limits.cpus);
  const byMemlock = memlockOf(limits) === 'charged' ? limits.memlockBytes : Infinity;
  return Math.floor(Math.min(share, byMemlock));
}

/** Whether the kernel charges pinned memory against RLIMIT_MEMLOCK. */
export function memlockOf({ ipcLock, memlockBytes }: PinLimits): 'charged' | 'free' {
  return ipcLock || memlockBytes < 0 ? 'free' : 'charged';
}

/**
 * Room for one more zero-copy send, in bytes.
 * The kernel charges a send `bytes / pageBytes + 2` pages (net/core/skbuff.c:mm_account_pinned_pages), so
 * this keeps two pages back.
 * @param processRoom bytes that the process may pin beyond what it has
 */
export function roomBytes(
  socketPending: number,
  socketBudget: number,
  processRoom: number,
  pageBytes: number,
): number {
  const room = Math.min(socketBudget - socketPending, processRoom);
  return Math.max(0, room - 2 * pageBytes);
}

/** A budget that shrinks no further keeps zero copy going for a few sockets. */
const LEAST_BYTES = 1024 * 1024;
/** Share of what was pinned when the kernel refused more. */
const SHRINK = 0.75;
/** Growth per second, of the present budget. */
const GROWTH_PER_S = 0.25;

/**
 * How much of the process budget may be used now. RLIMIT_MEMLOCK is charged to the user, so other processes (cluster
 * workers) may leave less than the limit says; sends then fail with ENOBUFS.
 */
export class WorkingBudget {
  readonly #charged: boolean;
  #bytes: number;
  #sinceMs = 0;

  /** @param memlock whether the kernel charges pinned memory: otherwise the budget stays as it is */
  constructor(
    readonly most: number,
    memlock: 'charged' | 'free',
  ) {
    this.#charged = memlock === 'charged';
    this.#bytes = most;
  }

  /** As far as is known, less than the whole budget is usable. */
  get shrunk(): boolean {
    return this.#bytes < this.most;
  }

  /** Bytes that may be pinned now. */
  bytes(nowMs: number): number {
    if (this.#bytes === this.most) return this.most;
    const seconds = (nowMs - this.#sinceMs) / 1000;
    const grown = this.#bytes * (1 + GROWTH_PER_S) ** seconds;
    if (grown >= this.most) this.#bytes = this.most;
    return Math.min(this.most, Math.floor(grown));
  }

  /** The kernel refused to pin more than `pinned` bytes. */
  refused(pinned: number, nowMs: number): void {
    if (!this.#charged) return;
    const least = Math.min(LEAST_BYTES, this.most);
    this.#bytes = Math.max(least, Math.min(this.bytes(nowMs), Math.floor(pinned * SHRINK)));
    this.#sinceMs = nowMs;
  }
}
