// Where a run takes place: how to start a process at either end, and the receiver's address.
import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import { Rig, type RigSideName, rigUnavailable } from '../rig';
import { canStart } from '../rig/commands';
import type { PlaceName } from './arguments';
import type { Family } from './trial';
import { type Obstacle, Unavailable } from './unavailable';
import { VETH_MTU, type VethPair, vethUp } from './veth';

export interface Place {
  readonly name: PlaceName | 'remote';
  /** Of the device that the sender's packets leave by. */
  readonly mtu: number;
  /** Where what is sent without copying is copied on its way all the same, as a phrase; absent: nowhere. */
  readonly copies?: string;
  /** Where the receiver is. */
  address(family: Family): string;
  start(side: RigSideName, argv: readonly string[]): ChildProcess;
  close(): void;
}

const ETHERNET_MTU = 1500;
const CHILD: SpawnOptions = { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] };

function startHere(argv: readonly string[]): ChildProcess {
  const [file = '', ...rest] = argv;
  return spawn(file, rest, CHILD);
}

/** Throws: Unavailable. */
export function openPlace(name: PlaceName): Place {
  switch (name) {
    case 'loopback':
      return {
        name,
        mtu: loopbackMtu(),
        copies: 'over loopback',
        address: (family) => (family === 6 ? '::1' : '127.0.0.1'),
        start: (_side, argv) => startHere(argv),
        close: () => undefined,
      };
    case 'veth':
      return openVeth();
    case 'rig':
      return openRig();
  }
}

/** The sender is here, the receiver on another host: nothing is known of what is between them. */
export function remotePlace(address: string): Place {
  return {
    name: 'remote',
    mtu: ETHERNET_MTU,
    ...(isOwn(address) ? { copies: 'to an address of this machine' } : {}),
    address: () => address,
    start: (_side, argv) => startHere(argv),
    close: () => undefined,
  };
}

function isOwn(address: string): boolean {
  const devices = Object.values(os.networkInterfaces());
  return devices.some((device) => device?.some((own) => own.address === address));
}

function openVeth(): Place {
  const obstacle = vethUnavailable();
  if (obstacle !== undefined) throw new Unavailable(obstacle.reason, obstacle.remedy);
  const pair = vethUpOrUnavailable();
  return {
    name: 'veth',
    mtu: VETH_MTU,
    copies: 'over a plain veth pair',
    address: (family) => (family === 6 ? pair.receiver.address6 : pair.receiver.address4),
    start: (side, argv) => startHere(pair.command(side, argv)),
    close: () => pair.down(),
  };
}

function openRig(): Place {
  const obstacle = rigUnavailable();
  if (obstacle !== undefined) throw new Unavailable(obstacle.reason, obstacle.remedy);
  const rig = Rig.up();
  return {
    name: 'rig',
    mtu: ETHERNET_MTU,
    address: (family) => (family === 6 ? rig.receiver.address6 : rig.receiver.address4),
    start: (side, argv) => rig.spawn(side, argv, CHILD),
    close: () => rig.down(),
  };
}

// A root that lacks capabilities learns so only by trying.
function vethUpOrUnavailable(): VethPair {
  try {
    return vethUp();
  } catch (error) {
    const { message } = error as Error;
    if (!/not permitted|denied/i.test(message)) throw error;
    throw new Unavailable(message, 'run outside the container, or in a privileged one');
  }
}

function vethUnavailable(): Obstacle | undefined {
  if (process.platform !== 'linux') {
    return { reason: `veth is Linux's, this is ${process.platform}`, remedy: 'run on Linux' };
  }
  if (process.geteuid?.() !== 0) {
    return { reason: 'veth needs root', remedy: 'run as root, for instance with sudo' };
  }
  if (!canStart(['ip', '-V'])) {
    return { reason: "veth needs the program 'ip'", remedy: 'install iproute2' };
  }
  return undefined;
}

function loopbackMtu(): number {
  try {
    return Number(readFileSync('/sys/class/net/lo/mtu', 'utf8'));
  } catch {
    return ETHERNET_MTU; // not Linux: less than any loopback device has
  }
}
