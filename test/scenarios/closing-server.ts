// An http server that is told to stop while a client does not read its answer. Writes {port}, and {pinned}
// in front of what a program does at SIGTERM: close all connections, then the server.
import http from 'node:http';
import type net from 'node:net';
import { enableZeroCopy, metrics, type ZeroCopyOptions } from '../../lib/index';
import { argument, print } from '../helpers/program-side';
import { until } from '../../scripts/until';

export interface ClosingArgument {
  readonly engine: NonNullable<ZeroCopyOptions['engine']>;
  readonly bytes: number;
  /** What the body consists of. */
  readonly byte: number;
}

export interface ClosingEvent {
  readonly port?: number;
  readonly pinned?: number;
}

const given = argument<ClosingArgument>();

const server = enableZeroCopy(
  http.createServer((_request, response) => {
    const body = Buffer.alloc(given.bytes, given.byte);
    response.end(body, () => body.fill(0));
    void until('memory is pinned', () => metrics().pendingBytes > 0).then(stop);
  }),
  { engine: given.engine },
);

function stop(): void {
  print({ pinned: metrics().pendingBytes } satisfies ClosingEvent);
  server.closeAllConnections();
  server.close();
}

server.listen(0, '127.0.0.1', () => {
  print({ port: (server.address() as net.AddressInfo).port } satisfies ClosingEvent);
});
