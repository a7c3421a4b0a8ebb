// A guest under QEMU's software emulation: the host's root, read only, and network cards of several kinds, which are
// ports of one bridge in a network namespace of its own. Nothing leaves that.
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { runCommand, tryCommand } from '../rig/commands';
import { cancelTearDownOnExit, tearDownOnExit } from '../rig/teardown';
import type { Emulator } from './emulator';
import type { KernelImage } from './images';

/** A card of the guest: QEMU's name of it, and its address. */
export interface Card {
  readonly model: string;
  readonly mac: string;
}

export const RECEIVER: Card = { model: 'virtio-net-pci', mac: '52:54:00:0c:00:01' };
/** Whose driver sends. */
export const SENDERS: readonly Card[] = [
  { model: 'virtio-net-pci', mac: '52:54:00:0c:00:02' },
  { model: 'e1000e', mac: '52:54:00:0c:00:03' },
  { model: 'vmxnet3', mac: '52:54:00:0c:00:04' },
  { model: 'igb', mac: '52:54:00:0c:00:05' },
];

const MEMORY_MIB = 1536;
const CPUS = 2;

/** One bridge, and a tap for each card. */
class Wires {
  readonly netns = `zckernel-${process.pid}`;
  readonly #ip = ['ip', '-n', this.netns];

  constructor(cards: number) {
    runCommand(['ip', 'netns', 'add', this.netns]);
    try {
      runCommand([...this.#ip, 'link', 'add', 'bridge', 'type', 'bridge']);
      runCommand([...this.#ip, 'link', 'set', 'bridge', 'up']);
      for (let i = 0; i < cards; i++) {
        runCommand([...this.#ip, 'tuntap', 'add', `tap${i}`, 'mode', 'tap', 'vnet_hdr']);
        runCommand([...this.#ip, 'link', 'set', `tap${i}`, 'up', 'master', 'bridge']);
      }
    } catch (error) {
      this.down();
      throw error;
    }
  }

  down(): void {
    tryCommand(['ip', 'netns', 'del', this.netns]);
  }
}

function argumentsOf({ image, initramfs, senders }: Machine): string[] {
  const cards = [RECEIVER, ...senders];
  const network = cards.flatMap(({ model, mac }, i) => [
    ...['-netdev', `tap,id=n${i},ifname=tap${i},script=no,downscript=no,vhost=off`],
    ...['-device', `${model},netdev=n${i},mac=${mac}`],
  ]);
  return [
    ...['-machine', 'q35', '-accel', 'tcg,thread=multi', '-cpu', 'max'],
    ...['-m', `${MEMORY_MIB}`, '-smp', `${CPUS}`, '-no-reboot', '-nodefaults'],
    ...['-display', 'none', '-serial', 'stdio'],
    ...['-kernel', image.vmlinuz, '-initrd', initramfs],
    ...['-append', 'console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off nokaslr'],
    ...['-virtfs', 'local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap'],
    ...network,
  ];
}

/** What is booted. */
export interface Machine {
  readonly emulator: Emulator;
  readonly image: KernelImage;
  readonly initramfs: string;
  /** Those of SENDERS that it has. */
  readonly senders: readonly Card[];
}

/** Boots and hands over each line of the console; settles when the guest is off. */
export async function boot(
  machine: Machine,
  deadlineMs: number,
  onLine: (line: string) => void,
): Promise<void> {
  const wires = new Wires(machine.senders.length + 1);
  let process: ChildProcess | undefined;
  const end = (): void => {
    process?.kill('SIGKILL');
    wires.down();
  };
  tearDownOnExit(end);
  try {
    const argv = ['netns', 'exec', wires.netns, ...machine.emulator, ...argumentsOf(machine)];
    process = spawn('ip', argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    const running = process;
    const timer = setTimeout(() => running.kill('SIGKILL'), deadlineMs);
    createInterface({ input: running.stdout as NodeJS.ReadableStream }).on('line', onLine);
    await new Promise((resolve) => running.once('close', resolve));
    clearTimeout(timer);
  } finally {
    end();
    cancelTearDownOnExit(end);
  }
}
