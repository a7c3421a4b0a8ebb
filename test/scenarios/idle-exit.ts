// Uses zero copy, comes to rest in the way it is asked to, and should then end by itself.
// Writes {resting} when the last thing it does is done.
import http from 'node:http';
import net from 'node:net';
import { connect, createServer, enableZeroCopy } from '../../lib/index';
import { argument, print } from '../helpers/program-side';

export interface IdleArgument {
  readonly rest:
    | 'closed'
    | 'open but unreferenced'
    | 'never connected'
    | 'http server closed'
    | 'flushed and unreferenced by its server';
}

const FORCED = { engine: 'msg_zerocopy' } as const;
const BODY = Buffer.alloc(1024 * 1024, 7);

function portOf(server: net.Server): number {
  return (server.address() as net.AddressInfo).port;
}

function exchange(
  whenDone: (client: net.Socket, accepted: net.Socket, s: net.Server) => void,
): void {
  let accepted: net.Socket;
  const server = createServer({ zeroCopy: FORCED }, (socket) => {
    accepted = socket;
    socket.resume();
    void socket.send(BODY);
  });
  server.listen(0, '127.0.0.1', () => {
    const client = connect({ port: portOf(server), host: '127.0.0.1', zeroCopy: FORCED });
    let bytes = 0;
    void client.send(BODY);
    client.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes < BODY.length) return;
      void client.zeroCopy.flush().then(() => whenDone(client, accepted, server));
    });
  });
}

function overHttp(): void {
  const server = enableZeroCopy(
    http.createServer((_request, response) => response.end(BODY)),
    FORCED,
  );
  server.listen(0, '127.0.0.1', () => {
    const agent = new http.Agent({ keepAlive: true });
    http.get({ port: portOf(server), host: '127.0.0.1', agent }, (response) => {
      response.resume().once('end', () => {
        server.close(() => print({ resting: true }));
        agent.destroy();
      });
    });
  });
}

const ways: Record<IdleArgument['rest'], () => void> = {
  closed: () =>
    exchange((client, _accepted, server) => {
      server.close(() => print({ resting: true }));
      client.end();
    }),
  'open but unreferenced': () =>
    exchange((client, accepted, server) => {
      for (const one of [client, accepted, server]) one.unref();
      print({ resting: true });
    }),
  'never connected': () => {
    enableZeroCopy(new net.Socket());
    print({ resting: true });
  },
  'http server closed': overHttp,
  'flushed and unreferenced by its server': () =>
    exchange((client, accepted, server) => {
      server.close();
      client.unref();
      accepted.destroy();
      print({ resting: true });
    }),
};

ways[argument<IdleArgument>().rest]();
