// The values of metrics() as instruments of a monitoring system: one table for Prometheus and OpenTelemetry, so that
// both show the same values under corresponding names. Units are UCUM's, as OpenTelemetry asks:
// 'By' for bytes, 's' for seconds, and a noun in braces for what is counted.
import type { ProcessMetrics } from './metrics.js';

/** Bytes, seconds, or a noun in braces. */
export type Unit = 'By' | 's' | `{${string}}`;

/** One value with its labels. */
export interface Sample {
  readonly value: number;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Instrument {
  /** 'counter' only grows; 'level' goes up and down, and levels of several processes may be added. */
  readonly kind: 'counter' | 'level';
  /** Without the name of this package and without its unit: words with underscores, dots between parts. */
  readonly name: string;
  readonly unit: Unit;
  readonly help: string;
  read(now: ProcessMetrics): readonly Sample[];
}

type Totals = ProcessMetrics['totals'];
type Description = readonly [name: string, unit: Unit, help: string];

// Each counter of stats that is an instrument of its own. The type ensures that none is forgotten.
const TOTALS: Record<
  Exclude<keyof Totals, 'zeroCopyBytes' | 'copiedBytes' | 'fileBytes'>,
  Description
> = {
  ...countsOf('{send}', {
    zeroCopySends: ['sends', 'Zero-copy sends that the kernel accepted'],
    registeredSends: ['registered_sends', 'Zero-copy sends from a pool registered with io_uring'],
    kernelCopiedSends: ['kernel_copied_sends', 'Zero-copy sends that the kernel copied after all'],
    unknownSends: [
      'unknown_sends',
      'Zero-copy sends that the kernel may have copied: it does not say',
    ],
    notifications: ['releases', 'Zero-copy sends whose memory the kernel released'],
    partialSends: ['partial_sends', 'Sends accepted in part, because the send buffer was full'],
    unpinnableSends: ['unpinnable_sends', 'Sends copied because their memory cannot be pinned'],
    failedSends: ['failed_sends', 'Datagram sends without a callback that failed'],
  }),
  ...countsOf('{write}', {
    budgetCopies: ['budget_copies', 'Writes copied because the budget was used up'],
    waitingCopies: ['waiting_copies', 'Writes copied because their writer waits for callbacks'],
    lateCopies: [
      'late_copies',
      'Responses copied because JavaScript kept running before they were sent',
    ],
  }),
  ...countsOf('{datagram}', {
    receivedDatagrams: ['received_datagrams', 'Datagrams passed to the program'],
    receiveDrops: [
      'dropped_datagrams',
      'Datagrams dropped because the program read them too slowly',
    ],
    softwareSegments: [
      'software_segments',
      'Datagrams segmented by this package instead of by the kernel',
    ],
  }),
  ...countsOf('{error}', {
    enobufs: ['enobufs', 'Sends that the kernel refused with ENOBUFS'],
  }),
  ...countsOf('{file}', {
    files: ['files', 'Files that sendfile(2) sent to their end'],
    filesLeft: ['files_left', 'Files that Node sent, or that were copied'],
  }),
  ...countsOf('{buffer}', {
    detachedBuffers: ['detached_buffers', 'Buffers detached while the kernel read them'],
    mutatedBuffers: ['mutated_buffers', 'Buffers that detectMutation found changed'],
  }),
  ...countsOf('{notification}', {
    strayNotifications: [
      'stray_notifications',
      'Notifications that belong to no send of this package',
    ],
    lostNotifications: ['lost_notifications', 'Notifications that may have been lost'],
  }),
};

function countsOf<K extends keyof Totals>(
  unit: Unit,
  counters: Record<K, readonly [name: string, help: string]>,
): Record<K, Description> {
  const entries = Object.entries<readonly [string, string]>(counters);
  return Object.fromEntries(
    entries.map(([counter, [name, help]]) => [counter, [name, unit, help]]),
  ) as unknown as Record<K, Description>;
}

const LEVELS: readonly (readonly [...Description, (now: ProcessMetrics) => number])[] = [
  ['sockets', '{socket}', 'Open sockets', (now) => now.openSockets],
  ['descriptors', '{descriptor}', 'Descriptors held for sockets', (now) => now.openPorts],
  ['pending_sends', '{send}', 'Sends that the kernel has not released', (now) => now.pendingSends],
  ['pending', 'By', 'Memory of sends that the kernel has not released', (now) => now.pendingBytes],
  ['pinned', 'By', 'Memory pinned by sends of the whole process', (now) => now.pinnedBytes],
  ['pinned.limit', 'By', 'Memory that the whole process may pin', (now) => now.budgetBytes],
  ['registered', 'By', 'Memory of pools registered with io_uring', (now) => now.registeredBytes],
];

function byLabel(label: string, counts: Readonly<Partial<Record<string, number>>>): Sample[] {
  return Object.entries(counts).map(([name, value = 0]) => ({ value, labels: { [label]: name } }));
}

const NO_LABELS = {};

export const instruments: readonly Instrument[] = [
  {
    kind: 'counter',
    name: 'sent',
    unit: 'By',
    help: 'Bytes sent, by method: without a copy, as a file, or copied',
    read: ({ totals: { zeroCopyBytes, fileBytes, copiedBytes } }) => [
      ...byLabel('method', { zero_copy: zeroCopyBytes, file: fileBytes, copy: copiedBytes }),
    ],
  },
  ...Object.entries(TOTALS).map(([counter, [name, unit, help]]): Instrument => ({
    ...{ kind: 'counter', name, unit, help },
    read: ({ totals }) => [{ value: totals[counter as keyof Totals], labels: NO_LABELS }],
  })),
  {
    kind: 'counter',
    name: 'fallbacks',
    unit: '{fallback}',
    help: 'How often zero copy was paused or refused, by reason',
    read: ({ fallbacks }) => byLabel('reason', fallbacks),
  },
  {
    kind: 'counter',
    name: 'aborts',
    unit: '{connection}',
    help: 'Connections reset to get their memory back, by reason',
    read: ({ aborts }) => byLabel('reason', aborts),
  },
  {
    kind: 'counter',
    name: 'refused_registrations',
    unit: '{buffer}',
    help: 'Pools that io_uring refused to register, by errno',
    read: ({ refusedRegistrations }) => byLabel('error', refusedRegistrations),
  },
  {
    kind: 'counter',
    name: 'shared_copies',
    unit: '{write}',
    help: 'Small responses that shared a system call with others',
    read: (now) => [{ value: now.sharedCopies, labels: NO_LABELS }],
  },
  {
    kind: 'counter',
    name: 'shared_sends',
    unit: '{write}',
    help: 'Large responses that shared a system call with others',
    read: (now) => [{ value: now.sharedSends, labels: NO_LABELS }],
  },
  ...LEVELS.map(([name, unit, help, value]): Instrument => ({
    ...{ kind: 'level', name, unit, help },
    read: (now) => [{ value: value(now), labels: NO_LABELS }],
  })),
];
