// Scenarios: who hands memory to http with end(chunk, callback) learns of its release, wherever the
// socket was upgraded and whoever wrapped what in between. Peers do not read at first, so that a callback
// which comes too early shows in their bytes.
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { connect, createServer, enableZeroCopy } from '../../lib/index';
import {
  FORCED,
  parseResponses,
  portOf,
  RawClient,
  type Scenario,
  someTurns,
  withServer,
  zeroCopySends,
} from '../helpers/http-kit';
import { countWrong, OVERWRITTEN, streamBytes } from '../../scripts/pattern';
import { until } from '../../scripts/until';

const BODY_BYTES = 900_000;
const REQUEST = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';

type EndsWith = (response: http.ServerResponse, body: Buffer, callback: () => void) => void;

/** What happened to the responses of a server, in order. */
class Answers {
  readonly notes: string[] = [];

  answer(response: http.ServerResponse, endsWith: EndsWith): void {
    const body = streamBytes(21, BODY_BYTES);
    response.once('finish', () => this.notes.push('finish'));
    endsWith(response, body, () => {
      body.fill(OVERWRITTEN);
      this.notes.push('release');
    });
  }
}

const endWhole: EndsWith = (response, body, callback) => response.end(body, callback);

/** Asks twice on one connection without reading, then reads. @param notes what the server notes */
async function askLate(port: number, notes: readonly string[], request = REQUEST): Promise<void> {
  const client = await RawClient.open(port, 'stalled');
  client.socket.write(request);
  await until('the first answer is accepted', () => notes.includes('finish'));
  await someTurns();
  assert.deepEqual(notes, ['finish'], 'memory that the kernel has is released');
  client.socket.write(request);
  await until('the second answer is accepted', () => notes.length === 2);
  await someTurns();
  assert.deepEqual(notes, ['finish', 'finish']);
  client.socket.resume();
  await until('both are released', () => notes.length === 4);
  await until('all bytes', () => client.bytes > 2 * BODY_BYTES);
  assert.equal(await wrongBytes(client, 2), 0, 'wrong bytes');
  client.socket.destroy();
}

async function wrongBytes(client: RawClient, responses: number): Promise<number> {
  const complete = (): boolean => {
    try {
      const bodies = parseResponses(client.all()).map(({ body }) => body.length);
      return bodies.length === responses && bodies.every((bytes) => bytes === BODY_BYTES);
    } catch {
      return false;
    }
  };
  await until('complete responses', complete);
  return parseResponses(client.all()).reduce((sum, { body }) => sum + countWrong(body, 21, 0), 0);
}

async function listening(server: net.Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return portOf(server);
}

async function upgradedInConnection(): Promise<void> {
  const answers = new Answers();
  const listener: http.RequestListener = (_request, response) => answers.answer(response, endWhole);
  await withServer('plain', listener, async ({ server, port, accepted }) => {
    server.on('connection', (socket: net.Socket) => enableZeroCopy(socket, FORCED));
    await askLate(port, answers.notes);
    assert.ok(zeroCopySends(accepted) >= 2);
  });
}

async function upgradedInRequest(): Promise<void> {
  const answers = new Answers();
  const listener: http.RequestListener = (request, response) => {
    enableZeroCopy(request.socket, FORCED);
    answers.answer(response, endWhole);
  };
  await withServer('plain', listener, async ({ port, accepted }) => {
    await askLate(port, answers.notes);
    assert.ok(zeroCopySends(accepted) >= 2);
  });
}

async function handedOver(): Promise<void> {
  const answers = new Answers();
  const web = http.createServer((_request, response) => answers.answer(response, endWhole));
  const accepted: net.Socket[] = [];
  const server = createServer({ zeroCopy: FORCED }, (socket) => {
    accepted.push(socket);
    web.emit('connection', socket);
  });
  try {
    await askLate(await listening(server), answers.notes);
    assert.ok(zeroCopySends(accepted) >= 2);
  } finally {
    for (const socket of accepted) socket.destroy();
    server.close();
  }
}

// Methods that were saved before anything was upgraded. The class above that of responses has them as
// they were.
async function takenBefore(kind: 'whole' | 'chunked'): Promise<void> {
  const { end, write } = http.OutgoingMessage.prototype;
  const answers = new Answers();
  const listener: http.RequestListener = (_request, response) =>
    answers.answer(response, (_response, body, callback) => {
      if (kind === 'chunked') write.call(response, body.subarray(0, 50_000), 'latin1');
      end.call(response, kind === 'chunked' ? body.subarray(50_000) : body, 'latin1', callback);
    });
  await withServer('upgraded', listener, async ({ port }) => {
    const client = await RawClient.open(port, 'stalled');
    client.socket.write(REQUEST);
    // The time of this callback is unknown; what the kernel does not have was copied by then.
    await someTurns();
    client.socket.resume();
    await until('the release', () => answers.notes.includes('release'));
    assert.equal(await wrongBytes(client, 1), 0, 'wrong bytes');
    client.socket.destroy();
  });
}

async function pipelined(): Promise<void> {
  const answers = new Answers();
  const waiting: http.ServerResponse[] = [];
  const listener: http.RequestListener = (_request, response) => {
    waiting.push(response);
    if (waiting.length < 2) return;
    // The second one waits for the first, without a socket.
    for (const response of [...waiting].reverse()) answers.answer(response, endWhole);
  };
  await withServer('upgraded', listener, async ({ port, accepted }) => {
    const client = await RawClient.open(port, 'stalled');
    client.socket.write(REQUEST + REQUEST);
    await until('both are accepted', () => answers.notes.length >= 2);
    await someTurns();
    assert.deepEqual(answers.notes, ['finish', 'finish']);
    client.socket.resume();
    await until('both are released', () => answers.notes.length === 4);
    assert.equal(await wrongBytes(client, 2), 0, 'wrong bytes');
    assert.ok(zeroCopySends(accepted) >= 2);
    client.socket.destroy();
  });
}

// --- other people's wraps -----------------------------------------------------------------------

/** Wraps what it is about, and answers how to take that back. */
type Wrap = (seen: string[], server: http.Server) => () => void;

function wrapEnd(response: http.ServerResponse, seen: string[]): void {
  const { end } = response;
  response.end = function (this: http.ServerResponse, ...args: unknown[]) {
    seen.push('end');
    return (end as (...args: unknown[]) => unknown).apply(this, args);
  } as typeof end;
}

function onChannel(name: string): Wrap {
  return (seen) => {
    const wrap = (message: unknown): void =>
      wrapEnd((message as { response: http.ServerResponse }).response, seen);
    subscribe(name, wrap);
    return () => unsubscribe(name, wrap);
  };
}

type Emit = (this: unknown, event: string, ...args: unknown[]) => boolean;

function wrapEmit(target: { emit: unknown }, seen: string[]): void {
  const emit = target.emit as Emit;
  const wrapped: Emit = function (event, ...args) {
    if (event === 'request') {
      seen.push('emit');
      wrapEnd(args[1] as http.ServerResponse, seen);
    }
    return emit.call(this, event, ...args);
  };
  target.emit = wrapped;
}

const wraps: Record<string, Wrap> = {
  "on the channel 'http.server.request.start'": onChannel('http.server.request.start'),
  'on server.emit': (seen, server) => {
    wrapEmit(server, seen);
    return () => undefined;
  },
  // As OpenTelemetry's instrumentation does.
  'on http.Server.prototype.emit': (seen) => {
    const { emit } = http.Server.prototype;
    wrapEmit(http.Server.prototype, seen);
    return () => (http.Server.prototype.emit = emit);
  },
};
if (Number.parseInt(process.versions.node, 10) >= 22) {
  const name = 'http.server.response.created';
  wraps[`on the channel '${name}'`] = onChannel(name);
}

async function wrapped(wrap: Wrap): Promise<void> {
  const seen: string[] = [];
  const answers = new Answers();
  const listener: http.RequestListener = (_request, response) => answers.answer(response, endWhole);
  await withServer('upgraded', listener, async ({ server, port, accepted }) => {
    const unwrap = wrap(seen, server);
    try {
      await askLate(port, answers.notes);
    } finally {
      unwrap();
    }
    assert.equal(seen.filter((what) => what === 'end').length, 2, `called: ${seen.join(', ')}`);
    assert.ok(zeroCopySends(accepted) >= 2);
  });
}

async function subclassed(): Promise<void> {
  const seen: string[] = [];
  class Response extends http.ServerResponse {
    constructor(request: http.IncomingMessage, ...rest: unknown[]) {
      // @ts-expect-error: Node passes options that the types do not have
      super(request, ...rest);
      wrapEnd(this, seen);
    }
  }
  const answers = new Answers();
  const server = http.createServer({ ServerResponse: Response }, (_request, response) =>
    answers.answer(response, endWhole),
  );
  enableZeroCopy(server, FORCED);
  try {
    await askLate(await listening(server), answers.notes);
    assert.deepEqual(seen, ['end', 'end']);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

async function untouched(): Promise<void> {
  const own: (string | symbol)[][] = [];
  const listener: http.RequestListener = (_request, response) => {
    own.push(Reflect.ownKeys(response));
    response.end('x');
  };
  for (const flavour of ['plain', 'upgraded'] as const) {
    await withServer(flavour, listener, async ({ server, port }) => {
      assert.ok(!Object.hasOwn(server, 'emit'), 'the server has an emit of its own');
      const client = await RawClient.open(port, 'reading');
      client.socket.write(REQUEST);
      await until('the answer', () => client.endsWith('x'));
      client.socket.destroy();
    });
  }
  assert.deepEqual(own[1]?.map(String), own[0]?.map(String));
}

// --- requests -----------------------------------------------------------------------------------

async function requestEnds(when: 'at once' | 'with its socket'): Promise<void> {
  const notes: string[] = [];
  const parts: Buffer[] = [];
  let incoming: http.IncomingMessage | undefined;
  const listener: http.RequestListener = (request, response) => {
    incoming = request;
    request.on('data', (part: Buffer) => parts.push(part)).pause();
    request.on('end', () => response.end('thanks'));
  };
  await withServer('plain', listener, async ({ port }) => {
    const socket = connect({ port, host: '127.0.0.1', zeroCopy: FORCED });
    const request = http.request({ method: 'POST', createConnection: () => socket });
    request.once('finish', () => notes.push('finish'));
    if (when === 'with its socket') await once(socket, 'connect');
    const body = streamBytes(22, BODY_BYTES);
    request.end(body, () => {
      body.fill(OVERWRITTEN);
      notes.push('release');
    });
    await until('the body is accepted', () => notes.length > 0);
    await someTurns();
    assert.deepEqual(notes, ['finish'], 'memory that the kernel has is released');
    const answered = once(request, 'response');
    incoming?.resume();
    const [response] = (await answered) as [http.IncomingMessage];
    response.resume();
    await until('the release', () => notes.includes('release'));
    assert.ok(zeroCopySends([socket]) > 0);
    const received = Buffer.concat(parts);
    assert.equal(received.length, BODY_BYTES);
    assert.equal(countWrong(received, 22, 0), 0, 'wrong bytes');
    socket.destroy();
  });
}

export const ends: readonly Scenario[] = [
  {
    title:
      'response.end(body, callback) fires at release when the socket was upgraded in ‘connection’',
    run: upgradedInConnection,
  },
  {
    title:
      'response.end(body, callback) fires at release when the socket was upgraded in a request',
    run: upgradedInRequest,
  },
  {
    title: 'response.end(body, callback) fires at release on a server that is handed its sockets',
    run: handedOver,
  },
  {
    title: 'response.end(body, callback) of pipelined responses calls back at release',
    run: pipelined,
  },
  {
    title: 'an end() saved before the upgrade sends intact bytes, whole',
    run: () => takenBefore('whole'),
  },
  {
    title: 'an end() saved before the upgrade sends intact bytes, chunked',
    run: () => takenBefore('chunked'),
  },
  ...Object.entries(wraps).map(([where, wrap]) => ({
    title: `a wrap ${where} is called, and callbacks fire at release`,
    run: () => wrapped(wrap),
  })),
  {
    title: 'an own end() that the class of responses sets is called, and callbacks fire at release',
    run: subclassed,
  },
  { title: 'responses and servers have no properties of ours', run: untouched },
  ...(['at once', 'with its socket'] as const).map((when) => ({
    title: `request.end(body, callback) fires at release, called ${when}`,
    run: () => requestEnds(when),
  })),
];
