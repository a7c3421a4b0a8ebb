// One connection to an ordinary server of Node's.
import { once } from 'node:events';
import net from 'node:net';
import type { OpenInlet } from './inlet';

export const openTcpInlet: OpenInlet = async ({ address, port }, { take, ended }) => {
  const server = net.createServer((socket) => {
    server.close(); // one run, one connection
    let over = false;
    const end = (how?: string): void => {
      if (!over) ended(how);
      over = true;
    };
    socket.on('data', take);
    socket.once('end', () => end());
    socket.once('error', (error) => end(error.message));
    socket.once('close', () => end('the connection closed without FIN'));
  });
  server.listen(port, address);
  await once(server, 'listening');
  const bound = server.address() as net.AddressInfo;
  return {
    address: bound.address,
    port: bound.port,
    receiveBuffer: 0,
    drops: () => 0,
    close: () => server.close(),
  };
};
