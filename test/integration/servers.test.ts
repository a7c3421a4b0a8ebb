// express, fastify and plain http, each upgraded by one line: what the client gets, byte for byte.
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
  startUpgraded,
  underAllConditions,
} from './conditions';
import { BODY_BYTES, content, FILE_STREAM, type Route, ROUTES, sha256 } from './content';
import type { Answer, AskerArgument, Wanted } from '../scenarios/asker';
import type { Listening, Said, ServerArgument } from '../scenarios/server';

const FRAMEWORKS = ['express', 'fastify', 'http'] as const;
const ALL = Object.keys(ROUTES) as Route[];
const AT_ONCE = 4;

const expected = new Map<string, string>();

/** How many of the bodies of these paths are files, in bytes. */
function fileBytes(targets: readonly string[]): number {
  return targets.filter((target) => target.startsWith('/file/')).length * BODY_BYTES;
}

/** The hash of the body of a path. */
function hashOf(target: string): string {
  let hash = expected.get(target);
  if (hash === undefined) {
    const [, route, stream] = target.split('/');
    hash = sha256(ROUTES[route as Route](Number(stream)));
    expected.set(target, hash);
  }
  return hash;
}

let folder = '';
let file = '';

interface Ends {
  readonly server: Program;
  readonly asker: Program;
  readonly ports: readonly number[];
  readonly conditions: Conditions;
}

async function start(
  conditions: Conditions,
  framework: ServerArgument['framework'],
  crew: ServerArgument['crew'] = 'alone',
): Promise<Ends> {
  const host = conditions.place.address('sender');
  const given: ServerArgument = { framework, crew, host, file, options: conditions.options };
  const server = startUpgraded('server', given, conditions);
  const { ports } = await server.next<Listening>();
  const asker = startPlain('asker', { host } satisfies AskerArgument, conditions);
  return { server, asker, ports, conditions };
}

/** Asks, and compares every answer with what it must be. */
async function ask({ asker }: Ends, wanted: Wanted): Promise<void> {
  asker.tell(wanted);
  const answers = await asker.next<Answer[]>();
  assert.deepEqual(
    answers,
    wanted.paths.map((target) => ({ sha256: hashOf(target) })),
  );
}

async function leave({ asker }: Ends, wanted: Wanted): Promise<void> {
  asker.tell(wanted);
  assert.deepEqual(await asker.next(), { left: wanted.paths.length });
}

/** What each process or thread of the server sent. */
async function say({ server }: Ends): Promise<Said[]> {
  server.tell({ say: true });
  return server.next<Said[]>();
}

// Nothing is left behind, and the process ends by itself.
/** @param said what the server has said on its standard error */
async function finish(ends: Ends, said = /^$/): Promise<void> {
  await until('all memory is released', async () =>
    (await say(ends)).every(({ pendingBytes }) => pendingBytes === 0),
  );
  ends.server.tell({ stop: true });
  const { stderr, ...end } = await ends.server.ended();
  assert.deepEqual(end, { code: 0, signal: null });
  assert.match(stderr, said);
}

function paths(routes: readonly Route[], times: number, first = 1): string[] {
  return routes.flatMap((route) =>
    Array.from({ length: times }, (_, i) => `/${route}/${route === 'file' ? 0 : first + i}`),
  );
}

function answersOf(framework: (typeof FRAMEWORKS)[number], getConditions: () => Conditions): void {
  for (const how of ['in turn', 'at once'] as const) {
    for (const route of ALL) {
      it(`${framework} answers /${route} without copying, requests ${how}`, async () => {
        const ends = await start(getConditions(), framework);
        const [port = 0] = ends.ports;
        const all = paths([route], AT_ONCE);
        await ask(ends, { port, paths: all, how });
        const [said] = await say(ends);
        assertZeroCopy(said as Said, AT_ONCE * BODY_BYTES, ends.conditions, fileBytes(all));
        await finish(ends);
      });
    }
  }

  it(`${framework} keeps serving when clients disconnect in the middle of a response`, async () => {
    const ends = await start(getConditions(), framework);
    const [port = 0] = ends.ports;
    for (const how of ['destroy', 'reset'] as const) {
      await leave(ends, { port, paths: paths(ALL, 2), how });
      await ask(ends, { port, paths: paths(ALL, 1), how: 'in turn' });
    }
    await finish(ends);
  });
}

underAllConditions('upgraded servers', (getConditions) => {
  before(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-integration-'));
    file = path.join(folder, 'file');
    writeFileSync(file, content(FILE_STREAM));
  });
  after(() => rmSync(folder, { recursive: true }));
  afterEach(stopPrograms);

  for (const framework of FRAMEWORKS) answersOf(framework, getConditions);

  it('http answers pipelined requests in order, without copying', async () => {
    const ends = await start(getConditions(), 'http');
    const [port = 0] = ends.ports;
    const all = paths(ALL, 2);
    await ask(ends, { port, paths: all, how: 'pipelined' });
    const [said] = await say(ends);
    assertZeroCopy(said as Said, all.length * BODY_BYTES, ends.conditions, fileBytes(all));
    await finish(ends);
  });

  it('http2 without TLS delivers every byte by Node’s own writes', async () => {
    const ends = await start(getConditions(), 'http2');
    const [port = 0] = ends.ports;
    await ask(ends, { port, paths: paths(ALL, 2), how: 'http2' });
    const [said] = await say(ends);
    const { zeroCopySends, copiedBytes } = said as Said;
    assert.equal(zeroCopySends, 0);
    assert.ok(copiedBytes >= ALL.length * 2 * BODY_BYTES, `${copiedBytes} bytes were copied`);
    await finish(ends, /^\(node:\d+\) \[ZC_HTTP2\] .*\n.*--trace-warnings.*\n$/);
  });

  for (const crew of ['cluster', 'threads'] as const) {
    it(`express in ${crew} answers without copying in each of them`, async () => {
      const ends = await start(getConditions(), 'express', crew);
      assert.equal(ends.ports.length, crew === 'cluster' ? 1 : 2);
      const all = paths(ALL, AT_ONCE);
      for (const port of ends.ports) await ask(ends, { port, paths: all, how: 'at once' });
      const told = await say(ends);
      assert.equal(told.length, 2);
      for (const said of told) assertZeroCopy(said, BODY_BYTES, ends.conditions, BODY_BYTES);
      const sum = told.reduce((bytes, said) => bytes + said.zeroCopyBytes, 0);
      assert.ok(sum >= ends.ports.length * all.length * BODY_BYTES, `${sum} bytes in all`);
      await finish(ends);
    });
  }
});
