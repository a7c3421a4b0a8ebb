// Two network namespaces joined by a plain veth pair, as the kernel's own self-test uses them: real
// devices and routes, and every byte is copied on its way to a local receiver. Named like a rig, so
// that whatever a killed process leaves behind is collected with the stale rigs.
import { runCommand } from '../rig/commands';
import { generateSides, PREFIX4, PREFIX6, type RigSide, type RigSideName } from '../rig/names';
import { inNamespace } from '../rig/setup';
import {
  cancelTearDownOnExit,
  removeNamespaces,
  removeStaleRigs,
  tearDownOnExit,
} from '../rig/teardown';

/** The most an IPv4 packet can have: whole messages, not fragments. */
export const VETH_MTU = 65_535;

export interface VethPair {
  readonly sender: RigSide;
  readonly receiver: RigSide;
  command(side: RigSideName, argv: readonly string[]): string[];
  down(): void;
}

/** Throws: when a step of building it fails; nothing is left behind then. */
export function vethUp(): VethPair {
  removeStaleRigs();
  const sides = generateSides('process');
  const down = (): void => {
    removeNamespaces([sides.sender.netns, sides.receiver.netns]);
    cancelTearDownOnExit(down);
  };
  tearDownOnExit(down);
  try {
    setUp(sides);
  } catch (error) {
    down();
    throw error;
  }
  return { ...sides, command: (side, argv) => inNamespace(sides[side], argv), down };
}

function setUp({ sender, receiver }: Record<RigSideName, RigSide>): void {
  for (const side of [sender, receiver]) runCommand(['ip', 'netns', 'add', side.netns]);
  const shape = ['mtu', String(VETH_MTU)];
  const near = ['link', 'add', 'name', sender.device, ...shape, 'type', 'veth'];
  const far = ['peer', 'name', receiver.device, ...shape, 'netns', receiver.netns];
  runCommand(['ip', '-n', sender.netns, ...near, ...far]);
  for (const side of [sender, receiver]) {
    const ip = ['ip', '-n', side.netns];
    const sysctl = '/proc/sys/net/ipv6/conf/all/disable_ipv6';
    runCommand(inNamespace(side, ['sh', '-c', `test ! -e ${sysctl} || echo 0 > ${sysctl}`]));
    runCommand([...ip, 'link', 'set', 'lo', 'up']);
    runCommand([...ip, 'link', 'set', side.device, 'up']);
    const add = (address: string): string[] => [...ip, 'addr', 'add', address, 'dev', side.device];
    runCommand(add(`${side.address4}/${PREFIX4}`));
    // `nodad`: an address under duplicate detection cannot be bound for a second or so.
    runCommand([...add(`${side.address6}/${PREFIX6}`), 'nodad']);
  }
}
