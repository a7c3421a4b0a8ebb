// Whatever node:dgram does, a socket of this package does, too: the same scenarios over both, and the
// same stories; with the addon, without it, and under other versions of Node.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { NODES_OWN, OURS, scenariosOf, story } from '../scenarios/dgram-behaviours';
import {
  type DgramScenario,
  type Family,
  presentFamilies,
} from '../scenarios/dgram-behaviours-kit';
import type { ParityLine } from '../scenarios/dgram-behaviours-program';
import { forEachTestNode } from '../helpers/test-nodes';

const PROGRAM = path.join(__dirname, '../scenarios/dgram-behaviours-program.js');

/** Characters; the whole comparison is in the suite of this process. */
const MOST_OF_A_FAILURE = 300;

/** Each story of Node's own is told once. */
const told = new Map<string, Promise<unknown>>();

function nodesOwn(scenario: DgramScenario, family: Family): Promise<unknown> {
  const key = `${family.type} ${scenario.title}`;
  const known = told.get(key) ?? story(scenario, NODES_OWN, family);
  told.set(key, known);
  return known;
}

/** The scenarios in a process of its own; answers those that failed. */
async function failuresIn(
  node: string,
  env: Readonly<Record<string, string>>,
): Promise<{ ran: number; failures: string[]; version: string | undefined }> {
  const child = spawn(node, ['--no-warnings', PROGRAM], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  });
  const failures: string[] = [];
  let ran = 0;
  let ended: string | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    const { scenario, failure, version } = JSON.parse(line) as ParityLine;
    if (scenario !== undefined) ran++;
    if (failure !== undefined) failures.push(`${scenario}: ${failure.slice(0, MOST_OF_A_FAILURE)}`);
    ended = version ?? ended;
  }
  return { ran, failures, version: ended };
}

for (const family of presentFamilies()) {
  describe(`a socket of node:dgram, ${family.type}`, () => {
    for (const scenario of scenariosOf(family)) {
      it(scenario.title, async () => assert.notEqual(await nodesOwn(scenario, family), undefined));
    }
  });

  describe(`a socket of this package, ${family.type}`, () => {
    for (const scenario of scenariosOf(family)) {
      it(scenario.title, async () => {
        const expected = await nodesOwn(scenario, family);
        assert.deepEqual(await story(scenario, OURS, family), expected);
      });
    }
  });
}

describe('sockets of this package elsewhere', () => {
  it('behave as node:dgram without the addon, too', async () => {
    const off = { MSG_ZEROCOPY_ADDON: 'off' };
    const { ran, failures, version } = await failuresIn(process.execPath, off);
    assert.deepEqual({ failures, version }, { failures: [], version: process.version });
    assert.ok(ran > 0);
  });

  forEachTestNode((node, expected) => {
    it(`behave as node:dgram under ${expected}`, async () => {
      const { ran, failures, version } = await failuresIn(node, {});
      assert.deepEqual({ failures, version }, { failures: [], version: expected });
      assert.ok(ran > 0);
    });
  });
});
