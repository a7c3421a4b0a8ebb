// What README.md shows for Prometheus, run as it stands there, with the real prom-client.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { forEachTestNode } from '../helpers/test-nodes';

const ROOT = path.resolve(__dirname, '../../..');

const SENDING = `
const net = require('node:net');
const { once } = require('node:events');
const { connect } = require('msg-zerocopy');
(async () => {
  const server = net.createServer((peer) => peer.resume()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect({ port: server.address().port, host: '127.0.0.1',
    zeroCopy: { engine: 'msg_zerocopy', threshold: 1 } });
  await socket.send(Buffer.alloc(300_000));
  // Twice: what is set anew at each look must not add up.
  await client.register.metrics();
  const text = await client.register.metrics();
  console.log(JSON.stringify({ text, now: metrics() }));
  socket.destroy();
  server.close();
})();
`;

function snippet(): string {
  const readme = readFileSync(path.join(ROOT, 'README.md'), 'utf8');
  const found = /For Prometheus, with `prom-client`:\n\n```js\n([^]*?)```/.exec(readme)?.[1];
  assert.ok(found, 'README.md has a snippet for prom-client');
  return found;
}

interface Printed {
  readonly text: string;
  readonly now: {
    readonly totals: Readonly<Record<string, number>>;
    readonly budgetBytes: number;
    readonly openSockets: number;
    readonly releaseLatency: { readonly count: number };
  };
}

/** The samples of Prometheus' text format: name with labels, value. */
function samples(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

function check(node: string): void {
  // Inside of the package, so that the text finds it and prom-client by their names.
  const folder = mkdtempSync(path.join(ROOT, 'build', 'readme-'));
  try {
    const program = path.join(folder, 'metrics.cjs');
    writeFileSync(program, snippet() + SENDING);
    const printed = execFileSync(node, [program], { encoding: 'utf8', timeout: 20_000 });
    const { text, now } = JSON.parse(printed) as Printed;
    const found = samples(text);
    for (const [counter, value] of Object.entries(now.totals)) {
      assert.equal(found.get(`zerocopy_events_total{counter="${counter}"}`), value, counter);
    }
    assert.equal(found.get('zerocopy_events_total{counter="zeroCopyBytes"}'), 300_000);
    assert.equal(found.get('zerocopy_budget_bytes'), now.budgetBytes);
    assert.equal(found.get('zerocopy_open_sockets'), 1);
    assert.equal(now.openSockets, 1);
    assert.equal(found.get('zerocopy_pinned_bytes'), 0);
    assert.ok(now.releaseLatency.count > 0);
    const all = found.get('zerocopy_release_seconds_bucket{le="+Inf"}');
    assert.equal(all, now.releaseLatency.count);
    assert.equal(found.get('zerocopy_release_seconds_count'), now.releaseLatency.count);
    assert.ok((found.get('zerocopy_release_seconds_sum') as number) > 0);
    for (const [name, type] of [
      ['zerocopy_events_total', 'counter'],
      ['zerocopy_fallbacks_total', 'counter'],
      ['zerocopy_aborts_total', 'counter'],
      ['zerocopy_pinned_bytes', 'gauge'],
      ['zerocopy_release_seconds', 'histogram'],
    ]) {
      assert.ok(text.includes(`# TYPE ${name} ${type}\n`), name);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('the snippet for prom-client in README.md', () => {
  it('prints what metrics() says', () => check(process.execPath));

  forEachTestNode((node, version) => {
    it(`prints what metrics() says, under ${version}`, () => check(node));
  });
});
