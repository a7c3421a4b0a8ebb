// What programs send and receive when `--import msg-zerocopy/register` upgrades them and they do nothing for
// it: servers, clients and databases' clients, byte for byte.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type Program, stopPrograms } from '../helpers/program';
import { until } from '../../scripts/until';
import {
  assertZeroCopy,
  type Conditions,
  startPlain,
  startRegistered,
  underAllConditions,
} from './conditions';
import {
  BODY_BYTES,
  content,
  FILE_STREAM,
  MESSAGE_BYTES,
  ROUTES,
  sha256,
  UPLOADS,
} from './content';
import type { Answer, AskerArgument, Wanted } from '../scenarios/asker';
import type { ExchangerArgument, Received } from '../scenarios/exchanger';
import type { Listening, Said, ServerArgument } from '../scenarios/server';
import type { Receiving, ReceiverArgument } from '../scenarios/upload-receiver';
import type { Uploaded, UploaderArgument } from '../scenarios/uploader';
import type { Dial, Exchanged, WebSocketArgument } from '../scenarios/websocket';

let folder = '';
let file = '';

// --- servers --------------------------------------------------------------------------------------

const ASKED = Object.entries(ROUTES).flatMap(([route, bodyOf]) =>
  [1, 2].map((stream) => ({ target: `/${route}/${stream}`, sha256: sha256(bodyOf(stream)) })),
);

/** Of what is asked for. */
const FILE_BYTES = ASKED.filter(({ target }) => target.startsWith('/file/')).length * BODY_BYTES;

async function saidOf(server: Program): Promise<Said[]> {
  server.tell({ say: true });
  return server.next<Said[]>();
}

async function serves(
  conditions: Conditions,
  framework: ServerArgument['framework'],
  crew: ServerArgument['crew'] = 'alone',
  how?: Parameters<typeof startRegistered>[3],
): Promise<void> {
  const host = conditions.place.address('sender');
  const given: ServerArgument = { framework, crew, host, file, options: null };
  const server = startRegistered('server', given, conditions, how);
  const { ports } = await server.next<Listening>();
  const asker = startPlain('asker', { host } satisfies AskerArgument, conditions);
  for (const port of ports) {
    const paths = ASKED.map(({ target }) => target);
    asker.tell({ port, paths, how: 'at once' } satisfies Wanted);
    const answers = await asker.next<Answer[]>();
    assert.deepEqual(
      answers,
      ASKED.map(({ sha256: hash }) => ({ sha256: hash })),
    );
  }
  await until('all memory is released', async () =>
    (await saidOf(server)).every(({ pendingBytes }) => pendingBytes === 0),
  );
  const told = await saidOf(server);
  assert.equal(told.length, crew === 'alone' ? 1 : 2);
  for (const said of told) {
    const bytes = crew === 'alone' ? ASKED.length * BODY_BYTES : BODY_BYTES;
    assertZeroCopy(said, bytes, conditions, Math.min(bytes, FILE_BYTES));
  }
  server.tell({ stop: true });
  assert.deepEqual(await server.ended(), { code: 0, signal: null, stderr: '' });
}

// --- clients --------------------------------------------------------------------------------------

const UPLOADED: Partial<Record<UploaderArgument['client'], string>> = {
  'undici Agent': 'a buffer',
  'the built-in fetch': 'a buffer',
  'http.Agent': 'a buffer',
  'stream.pipeline': 'a file',
};

async function uploads(conditions: Conditions, client: UploaderArgument['client']): Promise<void> {
  const host = conditions.place.address('receiver');
  const receiver = startPlain('upload-receiver', { host } satisfies ReceiverArgument, conditions);
  const ports = await receiver.next<Receiving>();
  const given: UploaderArgument = { client, host, ...ports, options: null, file };
  const uploader = startRegistered('uploader', given, conditions);
  const { hashes, ...sent } = await uploader.next<Uploaded>();
  assert.deepEqual(
    hashes,
    Array.from({ length: UPLOADS }, (_, stream) =>
      sha256(content(client === 'stream.pipeline' ? FILE_STREAM : stream)),
    ),
  );
  const bytes = UPLOADS * BODY_BYTES;
  assertZeroCopy(sent, bytes, conditions, client === 'stream.pipeline' ? bytes : 0);
  assert.deepEqual(await uploader.ended(), { code: 0, signal: null, stderr: '' });
}

// --- both ways ------------------------------------------------------------------------------------

const MESSAGES = 4;
const FIRST = { server: 1, client: 100 } as const;

function hashesOf(role: 'server' | 'client'): string[] {
  return Array.from({ length: MESSAGES }, (_, i) =>
    sha256(content(FIRST[role] + i, MESSAGE_BYTES)),
  );
}

function starters(conditions: Conditions, registered: 'server' | 'client') {
  const host = conditions.place.address(registered === 'server' ? 'sender' : 'receiver');
  const start = (program: string, role: 'server' | 'client', given: object): Program => {
    const all = { ...given, role, host, messages: MESSAGES, firstStream: FIRST[role] };
    return role === registered
      ? startRegistered(program, all, conditions)
      : startPlain(program, all, conditions);
  };
  return start;
}

async function exchangesWebSockets(
  conditions: Conditions,
  registered: 'server' | 'client',
): Promise<void> {
  const start = starters(conditions, registered);
  const given = { deflate: 'as it is', options: null } satisfies Partial<WebSocketArgument>;
  const server = start('websocket', 'server', { ...given, port: 0 });
  const { port } = await server.next<{ port: number }>();
  const client = start('websocket', 'client', { ...given, port });
  client.tell({ ending: 'complete' } satisfies Dial);
  const ofServer = await server.next<Exchanged>();
  const ofClient = await client.next<Exchanged>();
  assert.deepEqual(ofServer.received, hashesOf('client'));
  assert.deepEqual(ofClient.received, hashesOf('server'));
  const sent = registered === 'server' ? ofServer : ofClient;
  assertZeroCopy(sent, MESSAGES * MESSAGE_BYTES, conditions);
}

async function exchanges(
  conditions: Conditions,
  library: ExchangerArgument['library'],
  registered: 'server' | 'client',
): Promise<void> {
  const start = starters(conditions, registered);
  const server = start('exchanger', 'server', { library, port: 0 });
  const { port } = await server.next<{ port: number }>();
  const client = start('exchanger', 'client', { library, port });
  const ofClient = await client.next<Received>();
  client.tell({ stop: true });
  assert.deepEqual(await client.ended(), { code: 0, signal: null, stderr: '' });
  const ofServer = await server.next<Received>();
  server.tell({ stop: true });
  assert.deepEqual(await server.ended(), { code: 0, signal: null, stderr: '' });
  assert.deepEqual(ofServer.received, hashesOf('client'));
  // A database gives back what it was given.
  assert.deepEqual(ofClient.received, hashesOf(library === 'socket.io' ? 'server' : 'client'));
  const sent = registered === 'server' ? ofServer : ofClient;
  assertZeroCopy(sent, MESSAGES * MESSAGE_BYTES, conditions);
}

underAllConditions('programs under msg-zerocopy/register', (getConditions) => {
  before(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-register-'));
    file = path.join(folder, 'file');
    writeFileSync(file, content(FILE_STREAM));
  });
  after(() => rmSync(folder, { recursive: true }));
  afterEach(stopPrograms);

  for (const framework of ['http', 'express', 'fastify', 'nest'] as const) {
    it(`${framework} sends its answers without copying, and every byte is right`, () =>
      serves(getConditions(), framework));
  }

  for (const [crew, how] of [
    ['cluster', '--require'],
    ['threads', '--import'],
  ] as const) {
    it(`express in ${crew} sends without copying in each of them, by ${how}`, () =>
      serves(getConditions(), 'express', crew, how));
  }

  for (const [client, what] of Object.entries(UPLOADED)) {
    it(`${client} uploads ${what} without copying, and every byte is right`, () =>
      uploads(getConditions(), client as UploaderArgument['client']));
  }

  for (const registered of ['server', 'client'] as const) {
    it(`the ${registered} of ws sends without copying, and both ends get every byte`, () =>
      exchangesWebSockets(getConditions(), registered));
    it(`the ${registered} of socket.io sends without copying, and both ends get every byte`, () =>
      exchanges(getConditions(), 'socket.io', registered));
  }

  for (const library of ['ioredis', 'pg'] as const) {
    it(`${library} stores data without copying, and reads every byte back`, () =>
      exchanges(getConditions(), library, 'client'));
  }
});
