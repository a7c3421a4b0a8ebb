// One end of WebSocket connections by ws: server or client, upgraded or plain. On each connection both ends
// send `messages` messages of 1 MiB and receive as many. A server writes {port} first; each end writes what it
// received on a connection once that is closed.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import type net from 'node:net';
import { createInterface } from 'node:readline';
import { type RawData, WebSocket, WebSocketServer } from 'ws';
import { connect, enableZeroCopy, metrics, type ZeroCopyOptions } from '../../lib/index';
import { OVERWRITTEN } from '../../scripts/pattern';
import { argument, print } from '../helpers/program-side';
import { content, MESSAGE_BYTES } from '../integration/content';

export interface WebSocketArgument {
  readonly role: 'server' | 'client';
  readonly host: string;
  /** Of the server, for a client. */
  readonly port: number;
  /** Of the upgrade; null for plain Node. */
  readonly options: ZeroCopyOptions | null;
  readonly deflate: 'permessage-deflate' | 'as it is';
  readonly messages: number;
  /** Keystream of the first message. */
  readonly firstStream: number;
}

/** A client is told of each connection that it is to make. */
export interface Dial {
  /** Terminated: when the first message is there, although more follow. */
  readonly ending: 'complete' | 'terminated';
}

export interface Exchanged {
  readonly received: readonly string[];
  /** Messages whose callbacks came, without and with an error. */
  readonly sent: number;
  readonly failed: number;
  readonly zeroCopyBytes: number;
  readonly zeroCopySends: number;
  readonly kernelCopiedSends: number;
  readonly pendingBytes: number;
}

const given = argument<WebSocketArgument>();
// ws compresses only what has at least 1 KiB.
const perMessageDeflate = given.deflate === 'permessage-deflate';
const server = given.role === 'server';

async function exchange(socket: WebSocket, ending: Dial['ending']): Promise<void> {
  const received: string[] = [];
  let sent = 0;
  let failed = 0;
  const settled: Promise<void>[] = [];
  const closeWhenDone = (): void => {
    // The server closes, when it has all and has sent all.
    if (server && received.length === given.messages && sent === given.messages) socket.close();
  };
  socket.on('error', () => undefined);
  socket.on('message', (data: RawData) => {
    received.push(
      createHash('sha256')
        .update(data as Buffer)
        .digest('hex'),
    );
    if (ending === 'terminated') socket.terminate();
    else closeWhenDone();
  });
  const closed = once(socket, 'close');
  if (socket.readyState === WebSocket.CONNECTING) await once(socket, 'open');
  for (let i = 0; i < given.messages; i++) {
    const message = content(given.firstStream + i, MESSAGE_BYTES);
    settled.push(
      new Promise((resolve) => {
        socket.send(message, (error) => {
          message.fill(OVERWRITTEN);
          if (error) failed++;
          else sent++;
          closeWhenDone();
          resolve();
        });
      }),
    );
  }
  await Promise.all([closed, ...settled]);
  const { totals, pendingBytes } = metrics();
  const { zeroCopyBytes, zeroCopySends, kernelCopiedSends } = totals;
  const bytes = { zeroCopyBytes, zeroCopySends, kernelCopiedSends, pendingBytes };
  print({ received, sent, failed, ...bytes } satisfies Exchanged);
}

async function listen(): Promise<void> {
  const { options } = given;
  const listener = http.createServer();
  if (options !== null) enableZeroCopy(listener, options);
  const sockets = new WebSocketServer({ server: listener, perMessageDeflate });
  sockets.on('connection', (socket) => void exchange(socket, 'complete'));
  listener.listen(0, given.host);
  await once(listener, 'listening');
  print({ port: (listener.address() as net.AddressInfo).port });
}

async function dial(): Promise<void> {
  const { options } = given;
  const upgraded = (target: net.NetConnectOpts): net.Socket =>
    connect({ ...target, zeroCopy: options ?? {} });
  // ws calls it with options alone; its types say that it takes all that net.connect() takes.
  const createConnection = upgraded as unknown as typeof net.createConnection;
  const upgrade = options === null ? {} : { createConnection };
  for await (const line of createInterface({ input: process.stdin })) {
    const { ending } = JSON.parse(line) as Dial;
    const url = `ws://${given.host}:${given.port}`;
    await exchange(new WebSocket(url, { perMessageDeflate, ...upgrade }), ending);
  }
}

void (server ? listen() : dial());
