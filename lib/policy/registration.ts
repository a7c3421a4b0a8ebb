// Which memory of the program's is worth being registered with the ring: the kernel pins its pages once,
// and not for each send. Pure.

/**
 * Sends of fewer bytes do not use registered memory. With an HTTP header in front it takes a system call
 * more; and the kernel takes references to the pages all the same for what shares its first packet with
 * that header (io_uring/net.c:io_sg_from_iter), which is about 64 KiB.
 */
export const LEAST_REGISTERED_SEND_BYTES = 128 * 1024;

/** Registering, and the end of it, cost about what pinning it three times does. */
const SENDS_IN_FULL = 16;

/** Of the bytes that the process may pin, those that may be registered. */
const SHARE_OF_BUDGET = 0.25;

/** One buffer takes no more than a quarter of what may be registered at a time. */
const SHARE_OF_ONE = 0.25;

/** Whether memory of `memoryBytes`, of which `sentBytes` were sent within some seconds, is to be registered. */
export function earnsRegistration(sentBytes: number, memoryBytes: number): boolean {
  return sentBytes >= SENDS_IN_FULL * memoryBytes;
}

/** What is pinned of memory that begins and ends anywhere: whole pages. */
export function registeredBytes(memoryBytes: number, pageBytes: number): number {
  return (Math.ceil(memoryBytes / pageBytes) + 1) * pageBytes;
}

/** Bytes that may be registered by a process that may pin `processBudget`. */
export function registrationBudget(processBudget: number): number {
  return Math.floor(processBudget * SHARE_OF_BUDGET);
}

/** Whether a buffer may be registered at all, whatever else is. */
export function fitsRegistration(
  memoryBytes: number,
  processBudget: number,
  pageBytes: number,
): boolean {
  const most = registrationBudget(processBudget) * SHARE_OF_ONE;
  return registeredBytes(memoryBytes, pageBytes) <= most;
}
