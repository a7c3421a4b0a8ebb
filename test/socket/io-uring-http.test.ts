// http on connections that send by io_uring: every byte of every answer, to clients that keep the
// connection, pipeline on it, have it closed, or take it over.
import assert from 'node:assert/strict';
import { uringSuite } from '../helpers/suites';
import { type Place } from '../../scripts/place';
import { describePlaces } from '../helpers/suites';
import { type Program, startProgram, stopPrograms } from '../helpers/program';
import type { HttpClientArgument, Result } from '../scenarios/io-uring-http-client';
import type { Released, HttpServerArgument } from '../scenarios/io-uring-http-server';

async function ask(place: Place, what: HttpClientArgument['what'], port: number) {
  const given: HttpClientArgument = { host: place.address('sender'), port, what };
  const client = startProgram('io-uring-http-client', given, { place, side: 'receiver' });
  const { result } = await client.next<Result>();
  assert.deepEqual(await client.ended(), { code: 0, signal: null, stderr: '' });
  return result;
}

// What the server says when every callback has come.
async function released(server: Program): Promise<Released['released']> {
  for (let looks = 0; looks < 1000; looks++) {
    server.tell({ now: true });
    const { released: seen } = await server.next<Released>();
    if (seen.callbacks === seen.responses) return seen;
  }
  throw new Error('callbacks are missing');
}

/** Eight connections, six rounds, nine sizes, in one piece and in chunks. */
const REQUESTS = 8 * 6 * 9 * 2;

uringSuite('io_uring', () => {
  describePlaces('an http server', (getPlace) => {
    afterEach(stopPrograms);

    for (const engine of ['io_uring', 'auto'] as const) {
      for (const threshold of ['auto', 1, 32_768] as const) {
        it(`answers each request, engine '${engine}', threshold ${threshold}`, async () => {
          const place = getPlace();
          const given: HttpServerArgument = { address: place.address('sender'), engine, threshold };
          const server = startProgram('io-uring-http-server', given, { place });
          const { port } = await server.next<{ port: number }>();
          const kept = await ask(place, 'keep-alive', port);
          assert.deepEqual([kept.answers, kept.wrong, kept.connections], [REQUESTS, 0, 8]);
          const closed = await ask(place, 'close', port);
          assert.deepEqual(
            [closed.answers, closed.wrong, closed.connections],
            [REQUESTS, 0, REQUESTS],
          );
          const pipelined = await ask(place, 'pipelining', port);
          assert.deepEqual([pipelined.answers, pipelined.wrong], [6 * 3 * 27, 0]);
          const upgraded = await ask(place, 'upgrade', port);
          assert.deepEqual([upgraded.answers, upgraded.wrong], [6 * 3 * 60, 0]);
          const seen = await released(server);
          assert.deepEqual([seen.responses, seen.outOfOrder], [2 * REQUESTS + 6 * 3 * 27, 0]);
          if (engine === 'io_uring') assert.ok(seen.engines.includes('io_uring'));
          if (engine === 'io_uring') assert.ok(seen.zeroCopySends > 500, `${seen.zeroCopySends}`);
        });
      }
    }
  });
});
