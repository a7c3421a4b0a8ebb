// Many upgraded connections to one sink.
import { once } from 'node:events';
import net from 'node:net';

import type { ConnectionsOrder } from '../protocol';
import type { Upgrade } from './upgrade';

const connectedTogether = 100;

export async function connectAll(
  order: Pick<ConnectionsOrder, 'address' | 'port' | 'connections'>,
  upgrade: Upgrade,
): Promise<net.Socket[]> {
  const sockets: net.Socket[] = [];
  while (sockets.length < order.connections) {
    const count = Math.min(connectedTogether, order.connections - sockets.length);
    const fresh = Array.from({ length: count }, () => {
      const socket = net.connect(order.port, order.address);
      upgrade.apply(socket);
      upgrade.watch(socket);
      return socket;
    });
    await Promise.all(fresh.map((socket) => once(socket, 'connect')));
    sockets.push(...fresh);
  }
  return sockets;
}
