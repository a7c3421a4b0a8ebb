// What tests of sendFile() share: one answer of a server, and a pair of sockets.
import { once } from 'node:events';
import type http from 'node:http';
import net from 'node:net';
import { enableZeroCopy, type SendReport } from '../../lib/index';
import { exchange } from './file-kit';
import { RawClient, withServer, type Flavour } from './http-kit';
import { until } from '../../scripts/until';

export const GET = 'GET / HTTP/1.1\r\nHost: files\r\nConnection: close\r\n\r\n';

export type Outcome = SendReport | NodeJS.ErrnoException;

/** What one answer of a server that calls `answer` is, and what became of its promise. */
export async function answered(
  flavour: Flavour,
  answer: (response: http.ServerResponse) => Promise<SendReport> | Promise<void>,
  request = GET,
): Promise<{ arrived: Buffer; outcome: Outcome }> {
  let outcome: Outcome | undefined;
  let arrived: Buffer = Buffer.alloc(0);
  await withServer(
    flavour,
    (_, response) => {
      Promise.resolve(answer(response)).then(
        (report) => (outcome = report as SendReport),
        (error: NodeJS.ErrnoException) => {
          outcome = error;
          if (response.headersSent) return;
          response.statusCode = 500;
          response.end('refused');
        },
      );
    },
    async ({ port }) => {
      arrived = await exchange(port, request);
      await until('the promise is settled', () => outcome !== undefined);
    },
    {},
  );
  return { arrived, outcome: outcome as Outcome };
}

/** A pair of sockets; the near one is upgraded or not, the far one does not read yet. */
export async function withPair(
  flavour: Flavour,
  body: (near: net.Socket, far: RawClient) => Promise<void>,
): Promise<void> {
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[net.Socket]>;
  const far = await RawClient.open((server.address() as net.AddressInfo).port, 'stalled');
  const [near] = await accepted;
  near.on('error', () => undefined);
  if (flavour === 'upgraded') enableZeroCopy(near);
  try {
    await body(near, far);
  } finally {
    near.destroy();
    far.socket.destroy();
    server.close();
  }
}
