// Sizes of pages: what is pinned is pinned by the page, and huge pages cost less to pin.
import { readHugePageBytes } from '../memory/buffer-pool.js';
import { readNumber, readText } from '../node/proc.js';
import { bytesText, type Finding } from './finding.js';

export interface PageFacts {
  readonly pageBytes?: number;
  /** Transparent huge pages: 'always', 'madvise' or 'never'. */
  readonly transparent?: string;
  readonly hugePages?: number;
  readonly hugePageBytes?: number;
}

export function readPageFacts(): PageFacts {
  // Every mapping of ordinary memory says so; the first one is the program itself.
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
