// Limits on how much may be in flight without copying: optmem_max, RLIMIT_MEMLOCK, send buffers.
import type { Native } from '../native/binding.js';
import { pinLimitsOf } from '../native/pin-limits.js';
import {
  DEFAULT_SOCKET_BUDGET_BYTES,
  type PinLimits,
  processBudgetBytes,
  roomBytes,
} from '../policy/budget.js';
import { DEFAULT_THRESHOLD_BYTES } from '../policy/threshold.js';
import { type ContainerKind, sysctlRemedy } from './container.js';
import { isWritable, readNumber, readText } from '../node/proc.js';
import { bytesText, type Finding, type Remedy } from './finding.js';
import { readHugePageBytes } from '../memory/buffer-pool.js';

const USUAL_PAGE_BYTES = 4096;
const OPTMEM = '/proc/sys/net/core/optmem_max';

export interface LimitFacts {
  /** Undefined if this namespace does not show it. */
  readonly optmemBytes?: number;
  readonly optmemWritable: boolean;
  /** The third number of tcp_wmem. */
  readonly tcpWmemMaxBytes?: number;
  readonly wmemDefaultBytes?: number;
  readonly wmemMaxBytes?: number;
  /** Undefined without the addon. */
  readonly pins?: PinLimits;
  readonly pageBytes: number;
  readonly container?: ContainerKind;
}

export function readLimitFacts(
  native: Native | undefined,
  container: ContainerKind | undefined,
): LimitFacts {
  const optmemBytes = readNumber(OPTMEM);
  const tcpWmem = readText('/proc/sys/net/ipv4/tcp_wmem')?.trim().split(/\s+/)[2];
  const wmemDefaultBytes = readNumber('/proc/sys/net/core/wmem_default');
  const wmemMaxBytes = readNumber('/proc/sys/net/core/wmem_max');
  const described = native?.describe();
  return {
    ...(optmemBytes === undefined ? {} : { optmemBytes }),
    optmemWritable: isWritable(OPTMEM),
    ...(tcpWmem === undefined ? {} : { tcpWmemMaxBytes: Number(tcpWmem) }),
    ...(wmemDefaultBytes === undefined ? {} : { wmemDefaultBytes }),
    ...(wmemMaxBytes === undefined ? {} : { wmemMaxBytes }),
    ...(described === undefined ? {} : { pins: pinLimitsOf(described) }),
    pageBytes: described?.pageBytes ?? USUAL_PAGE_BYTES,
    ...(container === undefined ? {} : { container }),
  };
}

export function limitFindings(facts: LimitFacts): Finding[] {
  const findings = [optmemFinding(facts)];
  const { pins } = facts;
  if (pins !== undefined) findings.push(memlockFinding({ ...facts, pins }));
  findings.push(bufferFinding(facts));
  return findings;
}

/** What an unread notification takes of optmem_max, measured on Linux 6.18. */
const NOTIFICATION_BYTES = 835;
/** Default since Linux 6.8 (commit 4944566706b2); 20480 before. */
const GOOD_OPTMEM_BYTES = 131_072;
const WISHED_OPTMEM_BYTES = 1_048_576;

function optmemFinding(facts: LimitFacts): Finding {
  const { optmemBytes, optmemWritable, container } = facts;
  const same = { id: 'optmem', title: 'Memory for notifications (net.core.optmem_max)' };
  if (optmemBytes === undefined) {
    const detail =
      'It cannot be read in this network namespace: before Linux 6.8 one value holds for the whole ' +
      'machine. Read and set it outside the container.';
    return { ...same, verdict: 'note', detail };
  }
  const sends = Math.floor(optmemBytes / NOTIFICATION_BYTES);
  const room = `${bytesText(optmemBytes)}: room for about ${sends} zero-copy sends in flight on each socket`;
  if (optmemBytes >= GOOD_OPTMEM_BYTES) return { ...same, verdict: 'ok', detail: `${room}.` };
  return {
    ...same,
    // Not blocked, whatever the number: io_uring's notifications are not charged to it.
    verdict: 'limited',
    detail: `${room}. Beyond that, MSG_ZEROCOPY fails with ENOBUFS, and the bytes are copied.`,
    remedy: sysctlRemedy(
      'net.core.optmem_max',
      String(WISHED_OPTMEM_BYTES),
      container,
      optmemWritable,
    ),
  };
}

/** Default of the kernel since Linux 5.16; 64 KiB before. */
const USUAL_MEMLOCK_BYTES = 8 * 1024 * 1024;

function memlockFinding({ pins, pageBytes, container }: LimitFacts & { pins: PinLimits }): Finding {
  const same = { id: 'memlock', title: 'Memory that may be pinned (RLIMIT_MEMLOCK)' };
  const budget = processBudgetBytes(pins);
  const budgetText = `This process pins at most ${bytesText(budget)}`;
  if (pins.ipcLock) {
    const detail = `Unlimited, because the process has CAP_IPC_LOCK. ${budgetText}.`;
    return { ...same, verdict: 'ok', detail };
  }
  if (pins.memlockBytes < 0) {
    return { ...same, verdict: 'ok', detail: `Unlimited. ${budgetText}.` };
  }
  const limit = bytesText(pins.memlockBytes);
  if (budget < pins.memlockBytes) {
    return { ...same, verdict: 'ok', detail: `${limit}. ${budgetText}.` };
  }
  const room = roomBytes(0, DEFAULT_SOCKET_BUDGET_BYTES, budget, pageBytes);
  const remedy = memlockRemedy(container);
  const shared =
    `${limit}, shared by all processes of this user, for bytes in flight and for registered ` +
    'buffer pools';
  if (room < DEFAULT_THRESHOLD_BYTES) {
    const detail =
      `${shared}. That is not enough for one send of ${bytesText(DEFAULT_THRESHOLD_BYTES)}, so ` +
      'everything is copied.';
    return { ...same, verdict: 'blocked', detail, remedy };
  }
  return {
    ...same,
    verdict: pins.memlockBytes < USUAL_MEMLOCK_BYTES ? 'limited' : 'note',
    detail: `${shared}. Bytes beyond that are copied.`,
    remedy,
  };
}

const WISHED_MEMLOCK_BYTES = 256 * 1024 * 1024;

// Not CAP_IPC_LOCK as a remedy: it removes the limit for everything that can be locked.
function memlockRemedy(container: ContainerKind | undefined): Remedy {
  const bytes = WISHED_MEMLOCK_BYTES;
  if (container === 'docker' || container === 'podman') {
    return {
      command: `${container} run --ulimit memlock=${bytes}:${bytes} IMAGE   # or as in examples/deploy/compose.yaml`,
    };
  }
  if (container === 'kubernetes') {
    return {
      command: `kubectl patch deployment NAME --type=json -p '[{"op":"add","path":"/spec/template/spec/containers/0/securityContext","value":{"capabilities":{"add":["IPC_LOCK"]}}}]'`,
      weakensSecurity:
        "with CAP_IPC_LOCK the container may lock any amount of its node's memory. Kubernetes " +
        'has no setting for RLIMIT_MEMLOCK; the container runtime has one (LimitMEMLOCK)',
    };
  }
  return {
    command: `prlimit --memlock=${bytes}:${bytes} node PROGRAM   # for a service: LimitMEMLOCK=, as in examples/deploy/server.service`,
  };
}

/** The kernel's own default for tcp_wmem is 4 MiB. */
const SMALL_TCP_WMEM_BYTES = 1024 * 1024;

function bufferFinding(facts: LimitFacts): Finding {
  const { tcpWmemMaxBytes, wmemDefaultBytes, wmemMaxBytes } = facts;
  const same = { id: 'wmem', title: 'Send buffers (tcp_wmem, wmem_default, wmem_max)' };
  const parts: string[] = [];
  if (tcpWmemMaxBytes !== undefined) {
    parts.push(`a TCP connection may have up to ${bytesText(tcpWmemMaxBytes)} in flight`);
  }
  if (wmemDefaultBytes !== undefined) {
    parts.push(`other sockets ${bytesText(wmemDefaultBytes)} by default`);
  }
  if (wmemMaxBytes !== undefined) {
    parts.push(`SO_SNDBUF sets at most ${bytesText(wmemMaxBytes)}`);
  }
  if (parts.length === 0) {
    return { ...same, verdict: 'note', detail: 'They cannot be read here.' };
  }
  const detail = `${parts.join('; ')}. Pinned memory counts in whole pages.`;
  const text = detail.charAt(0).toUpperCase() + detail.slice(1);
  if (tcpWmemMaxBytes === undefined || tcpWmemMaxBytes >= SMALL_TCP_WMEM_BYTES) {
    return { ...same, verdict: 'ok', detail: text };
  }
  return {
    ...same,
    verdict: 'limited',
    detail: `${text} That is little for large sends on a fast or long path.`,
    remedy: { command: "sysctl -w net.ipv4.tcp_wmem='4096 16384 4194304'" },
  };
}

// Page sizes: memory is pinned by the page, and huge pages cost less to pin.

interface PageFacts {
  readonly pageBytes?: number;
  /** Transparent huge pages: 'always', 'madvise' or 'never'. */
  readonly transparent?: string;
  readonly hugePages?: number;
  readonly hugePageBytes?: number;
}

export function readPageFacts(): PageFacts {
  // Every mapping of ordinary memory shows it; the first one is the program itself.
  const page = /^KernelPageSize:\s*(\d+) kB$/m.exec(readText('/proc/self/smaps') ?? '')?.[1];
  const choices = readText('/sys/kernel/mm/transparent_hugepage/enabled');
  const transparent = /\[(\w+)\]/.exec(choices ?? '')?.[1];
  const hugePages = readNumber('/proc/sys/vm/nr_hugepages');
  const hugePageBytes = readHugePageBytes();
  return {
    ...(page === undefined ? {} : { pageBytes: Number(page) * 1024 }),
    ...(transparent === undefined ? {} : { transparent }),
    ...(hugePages === undefined ? {} : { hugePages }),
    ...(hugePageBytes === undefined ? {} : { hugePageBytes }),
  };
}

export function pageFinding(facts: PageFacts): Finding {
  const { pageBytes, transparent, hugePages, hugePageBytes } = facts;
  const same = { id: 'pages', title: 'Memory pages' };
  if (pageBytes === undefined) {
    return { ...same, verdict: 'note', detail: 'Their size cannot be read here.' };
  }
  const pages = `Pages of ${bytesText(pageBytes)}; transparent huge pages: ${transparent ?? 'unknown'}`;
  const size = hugePageBytes === undefined ? '' : ` of ${bytesText(hugePageBytes)}`;
  const hasHuge = hugePages !== undefined && hugePages > 0;
  const huge = hasHuge
    ? `${hugePages} huge pages${size} reserved`
    : `no huge pages${size} reserved, so a BufferPool with hugePages: true throws ENOMEM`;
  return {
    ...same,
    verdict: hasHuge ? 'ok' : 'note',
    detail: `${pages}; ${huge}.`,
    // 16 of 2 MiB: the default size of a pool.
    ...(hasHuge ? {} : { remedy: { command: 'sysctl -w vm.nr_hugepages=16' } }),
  };
}
