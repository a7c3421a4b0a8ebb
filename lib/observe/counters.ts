// The counters that every socket of this package keeps.

/**
 * The initial value of byte counters. V8 stores a field that starts as a small integer as one until it exceeds
 * 2^31. Then the object gets another map, and V8 discards all code optimized for it: at 4 GB/s that happened
 * in the first second of every connection. Minus zero is a double from the start.
 */
export const NO_BYTES = -0;

/** Counters of one socket: numbers of sends, writes, files, buffers or notifications, and bytes where the name says so. */
export interface Counters {
  /** Zero-copy sends that the kernel accepted, by any engine, and their bytes. */
  zeroCopySends: number;
  zeroCopyBytes: number;
  /** Of those sends: from a pool registered with io_uring, whose memory need not be pinned. */
  registeredSends: number;
  /** Of zeroCopySends: the kernel said that it copied after all. */
  kernelCopiedSends: number;
  /** Of zeroCopySends: reported together with an earlier send, so it is unknown whether it was copied. */
  unknownSends: number;
  /** Bytes copied by choice. */
  copiedBytes: number;
  /** Zero-copy sends that the kernel has released. */
  notifications: number;
  /** Sends that the kernel refused with ENOBUFS. */
  enobufs: number;
  /** Writes copied because the budget of the socket or process was used up. */
  budgetCopies: number;
  /** Writes copied because their writer waits for each callback ('waiting-writer'). */
  waitingCopies: number;
  /** Sends copied because their memory can be read but not pinned (memfd_secret, a device's mapping). */
  unpinnableSends: number;
  /** Responses copied because JavaScript kept running, or the process ended, before they were sent. */
  lateCopies: number;
  /** Sends that were accepted in part, because the send buffer was full. */
  partialSends: number;
  /** Files, or ranges of them, that sendfile(2) sent to their end, and the bytes it moved. */
  files: number;
  fileBytes: number;
  /** Files that Node's own stream sent, or that were copied; `metrics().files.left` says why. */
  filesLeft: number;
  /** Notifications for ids that were not pending: another sender uses this socket. */
  strayNotifications: number;
  /** Notifications that may have been lost (MSG_CTRUNC): their memory stays referenced for ever. */
  lostNotifications: number;
  /** Buffers that were detached while the kernel referenced their memory. */
  detachedBuffers: number;
  /** Buffers that detectMutation found changed or detached before they were released. */
  mutatedBuffers: number;
}

export function zeroCounters(): Counters {
  return {
    zeroCopySends: 0,
    zeroCopyBytes: NO_BYTES,
    registeredSends: 0,
    kernelCopiedSends: 0,
    unknownSends: 0,
    copiedBytes: NO_BYTES,
    notifications: 0,
    enobufs: 0,
    budgetCopies: 0,
    waitingCopies: 0,
    unpinnableSends: 0,
    lateCopies: 0,
    partialSends: 0,
    files: 0,
    fileBytes: NO_BYTES,
    filesLeft: 0,
    strayNotifications: 0,
    lostNotifications: 0,
    detachedBuffers: 0,
    mutatedBuffers: 0,
  };
}

/** The counters as users see them. */
export function snapshotOf<T extends Counters>(counters: T): Readonly<T> {
  const { zeroCopyBytes, copiedBytes, fileBytes } = counters;
  // Users expect 0, not -0.
  return Object.freeze({
    ...counters,
    zeroCopyBytes: zeroCopyBytes + 0,
    copiedBytes: copiedBytes + 0,
    fileBytes: fileBytes + 0,
  });
}

/** What datagram sockets count as well. */
export interface DatagramCounters extends Counters {
  /** Datagrams passed to the program. */
  receivedDatagrams: number;
  /** Datagrams that the kernel dropped because they were not received fast enough. */
  receiveDrops: number;
  /** Sends without a callback that failed. */
  failedSends: number;
  /** Datagrams that this package segmented, because the route refused UDP_SEGMENT. */
  softwareSegments: number;
}

export function zeroDatagramCounters(): DatagramCounters {
  return {
    ...zeroCounters(),
    receivedDatagrams: 0,
    receiveDrops: 0,
    failedSends: 0,
    softwareSegments: 0,
  };
}
