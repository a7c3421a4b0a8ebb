// A file that is in the middle of being sent: its client reads nothing until a test says so.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import type http from 'node:http';
import { withFiles } from './file-kit';
import { RawClient, withServer, type Flavour, type Served } from './http-kit';
import { until } from '../../scripts/until';

/** More than both buffers of a connection over loopback take. */
export const BYTES = 24 * 1024 * 1024;

export interface Middle {
  readonly stream: fs.ReadStream;
  readonly response: http.ServerResponse;
  readonly client: RawClient;
  readonly data: Buffer;
  readonly served: Served;
}

export const FRAMINGS = ['a length', 'chunks'] as const;
export type Framing = (typeof FRAMINGS)[number];

/** Runs `body` when a file is being sent to a client that does not read. */
export async function inTheMiddle(
  flavour: Flavour,
  framing: Framing,
  body: (middle: Middle) => Promise<void>,
): Promise<void> {
  await withFiles(async (folder) => {
    const { path, data } = folder.file(BYTES);
    let begun: [fs.ReadStream, http.ServerResponse] | undefined;
    await withServer(
      flavour,
      (_, response) => {
        if (framing === 'a length') response.setHeader('Content-Length', BYTES);
        const stream = fs.createReadStream(path);
        stream.pipe(response);
        begun = [stream, response];
      },
      async (served) => {
        const client = await RawClient.open(served.port, 'stalled');
        client.socket.write('GET / HTTP/1.1\r\nHost: files\r\nConnection: close\r\n\r\n');
        await until('the file is begun', () => (begun?.[0].bytesRead ?? 0) > 0);
        const [stream, response] = begun as [fs.ReadStream, http.ServerResponse];
        let last = -1;
        await until('the client is full', () => {
          const stands = stream.bytesRead === last;
          last = stream.bytesRead;
          return stands;
        });
        assert.ok(stream.bytesRead < BYTES);
        try {
          await body({ stream, response, client, data, served });
        } finally {
          client.socket.destroy();
          stream.destroy();
        }
      },
      {},
    );
  });
}

/** Reads until the connection is closed. @returns all that came */
export async function readAll(client: RawClient): Promise<Buffer> {
  client.socket.resume();
  await once(client.socket, 'close');
  return client.all();
}
