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
  zeroCopySends: ['sends', '{send}', 'Zero-copy sends that the kernel accepted'],
  registeredSends: ['registered_sends', '{send}', 'Of the sends: from a registered pool'],
  kernelCopiedSends: [
    'kernel_copied_sends',
    '{send}',
    'Of the sends: copied by the kernel after all',
  ],
  unknownSends: ['unknown_sends', '{send}', 'Of the sends: it is unknown whether they were copied'],
  notifications: ['releases', '{send}', 'Of the sends: released by the kernel'],
  enobufs: ['enobufs', '{error}', 'Sends that the kernel refused with ENOBUFS'],
  budgetCopies: ['budget_copies', '{write}', 'Writes copied because the budget was pinned'],
  waitingCopies: [
    'waiting_copies',
    '{write}',
    'Writes copied because their writer waits for callbacks',
  ],
  unpinnableSends: [
    'unpinnable_sends',
    '{send}',
    'Sends copied because their memory cannot be pinned',
  ],
  partialSends: [
    'partial_sends',
    '{send}',
    'Sends accepted in part, because the send buffer was full',
  ],
  files: ['files', '{file}', 'Files that sendfile(2) sent to their end'],
  filesLeft: ['files_left', '{file}', 'Files that Node sent, or that were copied'],
  strayNotifications: [
    'stray_notifications',
    '{notification}',
    'Notifications that nothing here caused',
  ],
  lostNotifications: [
    'lost_notifications',
    '{notification}',
    'Notifications that may have been lost',
  ],
  detachedBuffers: ['detached_buffers', '{buffer}', 'Buffers detached while the kernel read them'],
  mutatedBuffers: ['mutated_buffers', '{buffer}', 'Buffers that detectMutation found changed'],
  receivedDatagrams: ['received_datagrams', '{datagram}', 'Datagrams handed to the program'],
  receiveDrops: [
    'dropped_datagrams',
    '{datagram}',
    'Datagrams dropped because the program did not read them in time',
  ],
  failedSends: ['failed_sends', '{send}', 'Datagram sends without a callback that failed'],
  softwareSegments: [
    'software_segments',
    '{datagram}',
    'Datagrams cut here instead of by the kernel',
  ],
};

const LEVELS: readonly (readonly [...Description, (now: ProcessMetrics) => number])[] = [
  ['sockets', '{socket}', 'Open sockets', (now) => now.openSockets],
  ['descriptors', '{descriptor}', 'Descriptors held for sockets', (now) => now.openPorts],
  ['pending_sends', '{send}', 'Sends that the kernel has not released', (now) => now.pendingSends],
  ['pending', 'By', 'Memory of these sends', (now) => now.pendingBytes],
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
    help: 'Bytes sent, without copying, by copying and as files',
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
  ...LEVELS.map(([name, unit, help, value]): Instrument => ({
    ...{ kind: 'level', name, unit, help },
    read: (now) => [{ value: value(now), labels: NO_LABELS }],
  })),
];
