// Two network namespaces joined by a plain veth pair, as the kernel's own self-test uses them: real
// devices and routes, and every byte is copied on its way to a local receiver. Named like a rig, so
// that whatever a killed process leaves behind is collected with the stale rigs.
import { type Obstacle, Unavailable } from './availability';
import { canStart, runCommand } from './commands';
import { generateSides, type RigSide, type RigSideName } from './names';
import {
  addAddresses,
  createLink,
  inNamespace,
  PFIFO,
  receiveOnOwnCpu,
  writeSettings,
} from './setup';
import {
  cancelTearDownOnExit,
  removeNamespaces,
  removeStaleRigs,
  tearDownOnExit,
} from './teardown';

export interface VethPair {
  readonly sender: RigSide;
  readonly receiver: RigSide;
  command(side: RigSideName, argv: readonly string[]): string[];
  down(): void;
}

/**
 * @param mtu of both devices, in bytes
 * Throws: Unavailable, or when a step of building it fails; nothing is left behind then.
 */
export function vethUp(mtu: number): VethPair {
  const obstacle = vethObstacle();
  if (obstacle !== undefined) throw new Unavailable(obstacle.reason, obstacle.remedy);
  removeStaleRigs();
  const sides = generateSides('process');
  const down = (): void => {
    removeNamespaces([sides.sender.netns, sides.receiver.netns]);
    cancelTearDownOnExit(down);
  };
  tearDownOnExit(down);
  try {
    setUp(sides, mtu);
  } catch (error) {
    down();
    const { message } = error as Error;
    // A root that lacks capabilities learns so only by trying.
    if (!/not permitted|denied/i.test(message)) throw error;
    throw new Unavailable(message, 'run outside the container, or in a privileged one');
  }
  return { ...sides, command: (side, argv) => inNamespace(sides[side], argv), down };
}

function setUp({ sender, receiver }: Record<RigSideName, RigSide>, mtu: number): void {
  for (const side of [sender, receiver]) {
    runCommand(['ip', 'netns', 'add', side.netns]);
    writeSettings(side, '/proc/sys/net/ipv6/conf/', {
      'all/disable_ipv6': '0',
      'default/disable_ipv6': '0',
    });
    runCommand(['ip', '-n', side.netns, 'link', 'set', 'lo', 'up']);
  }
  createLink(sender, receiver, mtu);
  for (const side of [sender, receiver]) {
    addAddresses(side);
    // Their order is kept, whichever process sends them.
    receiveOnOwnCpu(side);
  }
  runCommand([
    'tc',
    '-n',
    sender.netns,
    'qdisc',
    'replace',
    'dev',
    sender.device,
    'root',
    ...PFIFO,
  ]);
}

function vethObstacle(): Obstacle | undefined {
  if (process.platform !== 'linux') {
    return { reason: `veth is Linux's, this is ${process.platform}`, remedy: 'run on Linux' };
  }
  if (process.geteuid?.() !== 0) {
    return { reason: 'veth needs root', remedy: 'run as root, for instance with sudo' };
  }
  const missing = ['ip', 'tc'].find((program) => !canStart([program, '-V']));
  if (missing === undefined) return undefined;
  return { reason: `veth needs the program '${missing}'`, remedy: 'install iproute2' };
}
