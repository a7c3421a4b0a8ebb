// A callback passed with data to a response fires when the kernel has released the data
// and not before, while 'finish' keeps Node's time. The client does not read at first, then slowly.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { connect } from '../../lib/index';
import { answers, BODY_BYTES, expectedNotes } from '../scenarios/http-answers';
import { FORCED, portOf, someTurns } from '../helpers/http-kit';
import { countWrong, OVERWRITTEN, streamBytes } from '../../scripts/pattern';
import { type Place } from '../../scripts/place';
import { describePlaces } from '../helpers/suites';
import { type Program, startProgram, stopPrograms } from '../helpers/program';
import { until } from '../../scripts/until';
import type { Body, ClientArgument } from '../scenarios/http-client';

async function startServer(place: Place): Promise<{ server: Program; port: number }> {
  const address = place.address('sender');
  const server = startProgram('http-server', { address }, { place, side: 'sender' });
  const { port } = await server.next<{ port: number }>();
  return { server, port };
}

/** Could be http's own of an end() that nobody saw: where Node calls both the same, the bytes are copied. */
const MAYBE_COPIED = 'callbacks that are called like one of Node’s own';

async function check(place: Place, name: string, expect: ClientArgument['expect']): Promise<void> {
  const { server, port } = await startServer(place);
  const given: ClientArgument = {
    host: place.address('sender'),
    port,
    path: `/${encodeURIComponent(name)}`,
    stream: 11,
    expect,
  };
  const client = startProgram('http-client', given, { place, side: 'receiver' });
  await client.next();
  // Of several callbacks the first ones may fire: what they release fits into the client's buffers.
  const early: string[] = [];
  for (;;) {
    const { note } = await server.next<{ note: string }>();
    if (note === 'finish') break;
    early.push(note);
  }
  const expected = expectedNotes[name] as readonly string[];
  if (name !== MAYBE_COPIED) {
    assert.ok(early.length < expected.length, `all fired before 'finish': ${early.join(', ')}`);
  }
  client.tell({ go: true });
  const { body } = await client.next<Body>();
  assert.deepEqual(body, { bytes: BODY_BYTES, wrong: 0 });
  const notes = [...early];
  while (notes.length < expected.length) {
    notes.push((await server.next<{ note: string }>()).note);
  }
  assert.deepEqual(notes, expected);
}

describePlaces('callbacks of a response, to a client that reads late', (getPlace) => {
  afterEach(stopPrograms);

  for (const name of Object.keys(answers)) {
    const when =
      name === MAYBE_COPIED
        ? 'fire when the bytes may change'
        : "fires at release, 'finish' before";
    it(`${name}: ${when}`, () => check(getPlace(), name, 'nothing'));
  }

  it('are held after 100-continue, too', () =>
    check(getPlace(), 'write(chunk, callback) and end(chunk, callback)', '100-continue'));
});

/** Writes to a peer that does not read; whether the callback came while the kernel had the memory. */
async function firesEarly(
  write: (socket: net.Socket, body: Buffer, callback: () => void) => void,
): Promise<boolean> {
  const server = net.createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect({ port: portOf(server), host: '127.0.0.1', zeroCopy: FORCED });
  const [far] = (await once(server, 'connection')) as [net.Socket];
  let released = false;
  // As http's own function for the end of a message is called (lib/_http_outgoing.js).
  function onFinish(): void {
    released = true;
  }
  write(socket, Buffer.alloc(BODY_BYTES, 1), onFinish.bind(undefined));
  await until('the write is accepted', () => {
    return socket.bytesWritten >= BODY_BYTES && socket.writableLength === 0;
  });
  await someTurns();
  const early = released;
  far.resume();
  await until('the release', () => released);
  socket.destroy();
  far.destroy();
  server.close();
  return early;
}

describe("callbacks named like http's own", () => {
  it("are held by a socket that is not http's", async () => {
    const early = await firesEarly((socket, body, callback) => socket.write(body, callback));
    assert.equal(early, false, 'the callback fired while the kernel referenced the memory');
  });

  // It could be http's own of an end() that nobody saw, so the bytes are copied.
  it("come at the release of a client's request", async () => {
    const parts: Buffer[] = [];
    const server = http.createServer((request, response) => {
      request.on('data', (part: Buffer) => parts.push(part)).pause();
      request.once('end', () => response.end());
      setImmediate(() => request.resume());
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const socket = connect({ port: portOf(server), host: '127.0.0.1', zeroCopy: FORCED });
    const request = http.request({ method: 'POST', createConnection: () => socket });
    const body = streamBytes(23, BODY_BYTES);
    function onFinish(): void {
      body.fill(OVERWRITTEN);
    }
    request.write(body, onFinish.bind(undefined));
    await until('the release', () => body[0] === OVERWRITTEN);
    request.end();
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    response.resume();
    const received = Buffer.concat(parts);
    assert.equal(received.length, BODY_BYTES);
    assert.equal(countWrong(received, 23, 0), 0, 'wrong bytes');
    socket.destroy();
    server.close();
  });
});
