// OpenTelemetry's instrumentations of http and net beside `msg-zerocopy/register`: whichever is loaded first,
// spans are those of a program without this package, and every byte is right.
import assert from 'node:assert/strict';
import path from 'node:path';
import { startProgram, stopPrograms } from '../helpers/program';
import { forEachTestNode } from '../helpers/test-nodes';
import { BODY_BYTES, content, sha256 } from './content';
import type { Traced } from '../scenarios/traced';

const TELEMETRY = path.join(__dirname, '../scenarios/telemetry.js');
const REGISTER = 'msg-zerocopy/register';

const ORDERS: Record<string, readonly string[]> = {
  'loaded first': ['--require', TELEMETRY, '--require', REGISTER],
  'loaded last': ['--require', REGISTER, '--require', TELEMETRY],
  'loaded before an --import': ['--require', TELEMETRY, '--import', REGISTER],
};

async function traced(node: string, nodeOptions: readonly string[]): Promise<Traced> {
  const program = startProgram(
    'traced',
    {},
    {
      ...{ node, nodeOptions },
      env: { MSG_ZEROCOPY_ENGINE: 'msg_zerocopy', MSG_ZEROCOPY_THRESHOLD: '1' },
    },
  );
  const told = await program.next<Traced>();
  assert.deepEqual(await program.ended(), { code: 0, signal: null, stderr: '' });
  return told;
}

// Of each round the answer to a POST, and what a server wrote that a bare socket read.
const RECEIVED = [1, 0, 2, 0].map((stream) => sha256(content(stream)));
// Either end's body of each POST, and what the bare sockets read.
const SENT_BYTES = (2 + 1) * 2 * BODY_BYTES;

function ordersUnder(node: string): void {
  for (const [order, nodeOptions] of Object.entries(ORDERS)) {
    it(`records the same spans as a plain program, ${order}`, async () => {
      const plain = await traced(node, ['--require', TELEMETRY]);
      assert.equal(plain.zeroCopyBytes, 0);
      assert.ok(plain.spans.includes('INTERNAL tcp.connect < CLIENT POST 200'));
      assert.ok(plain.spans.includes('SERVER POST 200 < CLIENT POST 200'));
      const upgraded = await traced(node, nodeOptions);
      assert.deepEqual(upgraded.spans, plain.spans);
      assert.deepEqual(upgraded.received, RECEIVED);
      assert.ok(upgraded.zeroCopyBytes >= SENT_BYTES, `${upgraded.zeroCopyBytes} bytes`);
    });
  }
}

describe('OpenTelemetry beside msg-zerocopy/register', () => {
  afterEach(stopPrograms);
  ordersUnder(process.execPath);

  forEachTestNode((node, version) => describe(version, () => ordersUnder(node)));
});
