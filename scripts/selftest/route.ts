// Which way packets go: what a sender must know that writes the headers itself. For the machine or
// the network namespace that this process is in.
import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import os from 'node:os';
import { canStart, runCommand } from '../rig/commands';
import { Unavailable } from '../rig/availability';

/** How frames for an address leave this machine. */
export interface Link {
  readonly device: string;
  /** The sender's IP address. */
  readonly source: string;
  readonly sourceMac: string;
  /** Of the host itself, or of the gateway to it. */
  readonly destinationMac: string;
}

const NO_MAC = '00:00:00:00:00:00';
const ANY_PORT = 9;
const LOOPBACK_DEVICE = 'lo';
const RESOLUTION_MS = 3000;

interface Route {
  readonly dev?: string;
  readonly gateway?: string;
}

interface Neighbour {
  readonly lladdr?: string;
}

/** The address from which packets to `destination` are sent. */
export async function sourceTowards(destination: string): Promise<string> {
  const socket = dgram.createSocket(net.isIPv6(destination) ? 'udp6' : 'udp4');
  try {
    socket.connect(ANY_PORT, destination);
    await once(socket, 'connect');
    return socket.address().address;
  } finally {
    socket.close();
  }
}

/** Throws: Unavailable, when there is no ip(8); when the destination cannot be reached. */
export async function linkTowards(destination: string): Promise<Link> {
  if (!canStart(['ip', '-V'])) {
    throw new Unavailable("packet modes need the program 'ip'", 'install iproute2');
  }
  const source = await sourceTowards(destination);
  const [route] = json<Route>(['ip', '-j', 'route', 'get', destination]);
  const device = route?.dev;
  if (device === undefined) throw new Error(`no route to ${destination}`);
  const sourceMac = os.networkInterfaces()[device]?.[0]?.mac ?? NO_MAC;
  if (device === LOOPBACK_DEVICE) {
    return { device, source, sourceMac, destinationMac: NO_MAC };
  }
  const hop = route?.gateway ?? destination;
  await resolveNeighbour(destination);
  const [neighbour] = json<Neighbour>(['ip', '-j', 'neigh', 'show', 'to', hop, 'dev', device]);
  const destinationMac = neighbour?.lladdr;
  if (destinationMac === undefined) throw new Error(`${hop} on ${device} does not answer`);
  return { device, source, sourceMac, destinationMac };
}

function json<T>(argv: readonly string[]): readonly T[] {
  return JSON.parse(runCommand(argv)) as T[];
}

// Whether the host accepts the connection or refuses it: either way it has been found by then.
async function resolveNeighbour(destination: string): Promise<void> {
  const socket = net.connect({ host: destination, port: ANY_PORT });
  await new Promise<void>((resolve) => {
    socket.setTimeout(RESOLUTION_MS, resolve);
    socket.once('connect', resolve);
    socket.once('error', () => resolve());
  });
  socket.destroy();
}
