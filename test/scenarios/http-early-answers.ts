// Scenarios: a server that answers while the body of the request still arrives. Node then throws the rest of
// the body away: a request that its listener has paused is resumed, its 'data' listeners are gone, and what
// comes is read. As in plain Node, which runs beside.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type net from 'node:net';
import { connect, type ZeroCopyOptions } from '../../lib/index';
import {
  type Flavour,
  readAnswer,
  type Scenario,
  type Served,
  withServer,
} from '../helpers/http-kit';
import { streamBytes } from '../../scripts/pattern';
import { until } from '../../scripts/until';

interface Early {
  readonly bodyBytes: number;
  readonly framing: 'in chunks' | 'of a known length';
  readonly answerBytes: number;
  /** Where the answer comes from. */
  readonly from: "the socket's 'data'" | "an immediate of the socket's 'data'";
  readonly client: 'plain' | 'upgraded';
  /** One after another, on one connection. */
  readonly requests: number;
}

const SMALL = 11;
const LARGE = 1024 * 1024;
const USUAL: Early = {
  bodyBytes: 1_700,
  framing: 'in chunks',
  answerBytes: SMALL,
  from: "the socket's 'data'",
  client: 'plain',
  requests: 1,
};

const EARLY: Readonly<Record<string, Partial<Early>>> = {
  'small answer, small body': {},
  'small answer, large body': { bodyBytes: LARGE },
  'small answer, small body of a known length': { framing: 'of a known length' },
  'small answer, large body of a known length': {
    bodyBytes: LARGE,
    framing: 'of a known length',
  },
  'large answer, small body': { answerBytes: LARGE },
  'large answer, large body': { answerBytes: LARGE, bodyBytes: LARGE },
  'answer from an immediate': { from: "an immediate of the socket's 'data'" },
  'three requests on one connection': { requests: 3, answerBytes: LARGE, bodyBytes: 300_000 },
  'upgraded client': { client: 'upgraded', answerBytes: LARGE, bodyBytes: 300_000 },
};

const PARTS = 8;

/** What a server saw of one request. */
interface Seen {
  /** Its 'data' listeners at 'resume'. */
  listeners: number | 'no resume';
  rest: 'read' | 'not read';
  answer: 'right' | 'wrong';
}

async function sendBody(request: http.ClientRequest, bytes: number): Promise<void> {
  const part = Buffer.alloc(Math.ceil(bytes / PARTS), 1);
  for (let left = bytes; left > 0; left -= part.length) {
    request.write(part.subarray(0, Math.min(left, part.length)));
    await new Promise((resolve) => setImmediate(resolve));
  }
  request.end();
}

function listenerOf(early: Early, answer: Buffer, all: Seen[]): http.RequestListener {
  return (request, response) => {
    const seen: Seen = { listeners: 'no resume', rest: 'not read', answer: 'wrong' };
    all.push(seen);
    const end = (): unknown => response.end(answer);
    request.socket.once('data', () => {
      if (early.from === "the socket's 'data'") end();
      else setImmediate(end);
    });
    request.once('resume', () => {
      seen.listeners = request.listenerCount('data');
      request.once('data', () => (seen.rest = 'read'));
    });
    // The listener alone would resume it.
    request.pause();
    request.on('data', () => undefined);
    response.flushHeaders();
  };
}

async function answerEarly(
  early: Early,
  flavour: Flavour,
  options: ZeroCopyOptions,
): Promise<Seen[]> {
  const all: Seen[] = [];
  const answer = streamBytes(31, early.answerBytes);
  const headers: http.OutgoingHttpHeaders = {};
  if (early.framing === 'of a known length') headers['content-length'] = early.bodyBytes;
  const converse = async ({ port }: Served): Promise<void> => {
    // A connection that the server closes behind the answer could be reset by the rest of the body.
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    if (early.client === 'upgraded' && flavour === 'upgraded') {
      Object.assign(agent, {
        createConnection: (to: net.TcpNetConnectOpts) => connect({ ...to, zeroCopy: options }),
      });
    }
    while (all.length < early.requests) {
      const request = http.request({ method: 'POST', host: '127.0.0.1', port, agent, headers });
      request.flushHeaders();
      const [response] = (await once(request, 'response')) as [http.IncomingMessage];
      const seen = all.at(-1) as Seen;
      const sent = sendBody(request, early.bodyBytes);
      if ((await readAnswer(response)).body.equals(answer)) seen.answer = 'right';
      await sent;
      await until(`'resume', and the rest: ${JSON.stringify(seen)}`, () => seen.rest === 'read');
    }
    agent.destroy();
  };
  await withServer(flavour, listenerOf(early, answer, all), converse, options);
  return all;
}

async function asPlain(variant: Partial<Early>, options: ZeroCopyOptions): Promise<void> {
  const early = { ...USUAL, ...variant };
  const expected: Seen = { listeners: 0, rest: 'read', answer: 'right' };
  const each = Array.from({ length: early.requests }, () => expected);
  assert.deepEqual(await answerEarly(early, 'plain', options), each);
  assert.deepEqual(await answerEarly(early, 'upgraded', options), each);
}

const ENGINES = ['auto', 'io_uring', 'msg_zerocopy'] as const;

/** Under other versions of Node, too. */
export const earlyAnswers: readonly Scenario[] = ENGINES.flatMap((engine) =>
  Object.entries(EARLY).map(([title, variant]) => ({
    title: `a request that is answered early is thrown away as in plain Node: ${title}, engine '${engine}'`,
    // So that small answers go without copying, too.
    run: () => asPlain(variant, engine === 'auto' ? {} : { engine, threshold: 1 }),
  })),
);
