// The example pooled-files.ts as a server of its own process, so that it can be run without the addon.
// Writes {port}; is told {say} and writes {stats}, and ends when it is told {close}.
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import type net from 'node:net';
import { createInterface } from 'node:readline';
import { createFileServer } from '../../examples/pooled-files';
import { BufferPool, type BufferPoolStats, type ZeroCopyOptions } from '../../lib/index';
import { argument, print } from '../helpers/program-side';

export interface FileServerArgument {
  readonly folder: string;
  readonly poolBytes: number;
  readonly options: ZeroCopyOptions;
}

export interface Listening {
  readonly port: number;
  /** Whether there is a slab, or all memory is ordinary. */
  readonly hasSlab: boolean;
}

export interface Said {
  readonly stats: BufferPoolStats;
  /** Files of the folder that are open. */
  readonly files: number;
  /** Codes of the process warnings so far. */
  readonly warnings: readonly string[];
}

const { folder, poolBytes, options } = argument<FileServerArgument>();
const pool = new BufferPool({ bytes: poolBytes });
const warnings: string[] = [];
process.on('warning', (warning) => {
  warnings.push((warning as NodeJS.ErrnoException).code ?? warning.name);
});

function openFiles(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder);
    } catch {
      return false; // the listing's own
    }
  }).length;
}

async function main(): Promise<void> {
  const server = createFileServer(folder, pool, options).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  print({ port, hasSlab: pool.stats.bytes > 0 } satisfies Listening);
  for await (const line of createInterface({ input: process.stdin })) {
    if ('close' in (JSON.parse(line) as object)) break;
    print({ stats: pool.stats, files: openFiles(), warnings } satisfies Said);
  }
  server.close();
  server.closeAllConnections();
  process.stdin.destroy();
}

void main();
