// How many bytes may be pinned. Pure: numbers in, numbers out.

/** Default of `maxPendingBytes`: four times the largest default send buffer (tcp_wmem, 4 MiB). */
export const DEFAULT_SOCKET_BUDGET_BYTES = 16 * 1024 * 1024;

const LARGEST_PROCESS_BUDGET_BYTES = 256 * 1024 * 1024;

export interface PinLimits {
  /** Soft RLIMIT_MEMLOCK in bytes; -1 when unlimited. */
  readonly memlockBytes: number;
  /** CAP_IPC_LOCK is effective: memlock is not charged. */
  readonly ipcLock: boolean;
  readonly totalMemoryBytes: number;
}

/**
 * Bytes that this process may pin: the least of 256 MiB, an eighth of memory, and RLIMIT_MEMLOCK
 * unless privileged. The kernel charges memlock to the user, so other processes may leave less, and
 * sends then fail with ENOBUFS.
 */
export function processBudgetBytes(limits: PinLimits): number {
  const byMemory = Math.floor(limits.totalMemoryBytes / 8);
  const byMemlock = memlockOf(limits) === 'charged' ? limits.memlockBytes : Infinity;
  return Math.min(LARGEST_PROCESS_BUDGET_BYTES, byMemory, byMemlock);
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
