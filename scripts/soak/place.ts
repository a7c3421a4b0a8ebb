// Where a soak runs: over the rig, where the kernel really sends from the programs' memory, or over
// loopback, where it always copies.
import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process';
import { Rig, type RigSideName, rigUnavailable } from '../rig';
import { listNamespaces, runCommand } from '../rig/commands';
import { inNamespace } from '../rig/setup';
import { Unavailable } from '../selftest/unavailable';
import type { PlaceName } from './arguments';
import type { Addresses } from './protocol';

const LOOPBACK: Addresses = { 4: '127.0.0.1', 6: '::1' };

export class SoakPlace {
  readonly rig: Rig | undefined;

  /** Throws: Unavailable. */
  constructor(name: PlaceName) {
    if (name === 'loopback') return;
    const obstacle = rigUnavailable();
    if (obstacle !== undefined) throw new Unavailable(obstacle.reason, obstacle.remedy);
    this.rig = Rig.up();
    // So that megabytes are in flight behind a reader that never read.
    this.set('net/ipv4/tcp_wmem', '4096 4194304 8388608');
  }

  address(side: RigSideName): Addresses {
    const end = this.rig?.[side];
    return end === undefined ? LOOPBACK : { 4: end.address4, 6: end.address6 };
  }

  start(side: RigSideName, argv: readonly string[], options: SpawnOptions): ChildProcess {
    if (this.rig !== undefined) return this.rig.spawn(side, argv, options);
    const [file = '', ...rest] = argv;
    return spawn(file, rest, options);
  }

  /** Sets a value under /proc/sys for the sender's end of the rig; none of it reaches the machine. */
  set(name: string, value: string): void {
    if (this.rig === undefined) return;
    const script = 'printf %s "$2" > "/proc/sys/$1"';
    runCommand(inNamespace(this.rig.sender, ['sh', '-euc', script, 'sh', name, value]));
  }

  /** @returns what of it is still there afterwards */
  close(): string[] {
    const { rig } = this;
    if (rig === undefined) return [];
    rig.down();
    const names = [rig.sender.netns, rig.receiver.netns];
    return listNamespaces().filter((name) => names.includes(name));
  }
}
