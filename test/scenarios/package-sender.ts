// A project that installed this package, by require() or by import: sends a keystream and says how.
import { once } from 'node:events';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { fillFrom, OVERWRITTEN } from '../../scripts/pattern';
import { argument, print } from '../helpers/program-side';

export interface PackageSenderArgument {
  /** The folder of the project. */
  readonly project: string;
  readonly by: 'require' | 'import';
  readonly host: string;
  readonly port: number;
  readonly stream: number;
  readonly writes: number;
  readonly writeBytes: number;
}

export interface PackageSenderReport {
  readonly addon: string;
  readonly reason: string;
  readonly engine: string;
  readonly zeroCopySends: number;
  readonly zeroCopyBytes: number;
  readonly kernelCopiedSends: number;
  readonly notifications: number;
  readonly copiedBytes: number;
  readonly released: number;
}

type Library = typeof import('../../lib/index');

async function load(project: string, by: 'require' | 'import'): Promise<Library> {
  const from = path.join(project, 'package.json');
  if (by === 'require') return createRequire(from)('msg-zerocopy') as Library;
  // A module of the project's own, so that `import` is resolved from there.
  return (await import(pathToFileURL(path.join(project, 'by-import.mjs')).href)) as Library;
}

async function main(): Promise<void> {
  const { project, by, host, port, stream, writes, writeBytes } = argument<PackageSenderArgument>();
  const zc = await load(project, by);
  const zeroCopy = { engine: 'msg_zerocopy', threshold: 1 } as const;
  const socket = zc.connect({ host, port, zeroCopy });
  await once(socket, 'connect');
  let released = 0;
  for (let i = 0; i < writes; i++) {
    const chunk = Buffer.allocUnsafeSlow(writeBytes);
    fillFrom(chunk, stream, i * writeBytes);
    socket.write(chunk, () => {
      chunk.fill(OVERWRITTEN);
      released++;
    });
  }
  await socket.zeroCopy.flush();
  const { engine } = socket.zeroCopy;
  socket.end();
  await once(socket, 'close');
  const { addon } = zc.capabilities();
  const { totals } = zc.metrics();
  const { zeroCopySends, zeroCopyBytes, kernelCopiedSends, notifications, copiedBytes } = totals;
  const report: PackageSenderReport = {
    addon: addon.support,
    reason: addon.reason ?? '',
    engine,
    zeroCopySends,
    zeroCopyBytes,
    kernelCopiedSends,
    notifications,
    copiedBytes,
    released,
  };
  print(report);
}

void main();
