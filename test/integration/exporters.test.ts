// `msg-zerocopy/prometheus` and `msg-zerocopy/opentelemetry` with the real prom-client and the real SDK: what
// they show is what metrics() says, under names as either ecosystem writes them.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { forEachTestNode } from '../helpers/test-nodes';

const ROOT = path.resolve(__dirname, '../../..');

const BYTES = 300_000;

// Sends to a peer that reads, and leaves the socket open while `look` looks.
const SENDING = `
import net from 'node:net';
import { once } from 'node:events';
import { connect, metrics } from 'msg-zerocopy';
const send = async (look) => {
  const server = net.createServer((peer) => peer.resume()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect({ port: server.address().port, host: '127.0.0.1',
    zeroCopy: { engine: 'msg_zerocopy', threshold: 1 } });
  await socket.send(Buffer.alloc(${BYTES}));
  const shown = await look();
  const now = metrics();
  await socket.send(Buffer.alloc(${BYTES}));
  const after = await look();
  console.log(JSON.stringify({ shown, now, after }));
  socket.destroy();
  server.close();
};
`;

interface Now {
  readonly totals: Readonly<Record<string, number>>;
  readonly openSockets: number;
  readonly openPorts: number;
  readonly budgetBytes: number;
  readonly releaseLatency: { readonly count: number; readonly sum: number };
}

interface Looked<T> {
  readonly shown: T;
  readonly now: Now;
  /** The same behind one more send. */
  readonly after: T;
}

function run<T>(node: string, program: string): Looked<T> {
  const argv = ['--input-type=module', '-e', SENDING + program];
  const printed = execFileSync(node, argv, { cwd: ROOT, encoding: 'utf8', timeout: 20_000 });
  return JSON.parse(printed) as Looked<T>;
}

// Every counter of stats, under its name in Prometheus without the prefix.
const COUNTERS: Readonly<Record<string, string>> = {
  zeroCopySends: 'sends_total',
  registeredSends: 'registered_sends_total',
  kernelCopiedSends: 'kernel_copied_sends_total',
  unknownSends: 'unknown_sends_total',
  zeroCopyBytes: 'sent_bytes_total{method="zero_copy"}',
  copiedBytes: 'sent_bytes_total{method="copy"}',
  files: 'files_total',
  fileBytes: 'sent_bytes_total{method="file"}',
  filesLeft: 'files_left_total',
  notifications: 'releases_total',
  enobufs: 'enobufs_total',
  budgetCopies: 'budget_copies_total',
  waitingCopies: 'waiting_copies_total',
  unpinnableSends: 'unpinnable_sends_total',
  lateCopies: 'late_copies_total',
  partialSends: 'partial_sends_total',
  strayNotifications: 'stray_notifications_total',
  lostNotifications: 'lost_notifications_total',
  detachedBuffers: 'detached_buffers_total',
  mutatedBuffers: 'mutated_buffers_total',
  receivedDatagrams: 'received_datagrams_total',
  receiveDrops: 'dropped_datagrams_total',
  failedSends: 'failed_sends_total',
  softwareSegments: 'software_segments_total',
};

// --- Prometheus -----------------------------------------------------------------------------------

/** The samples of Prometheus' text format: name with labels, value. */
function samplesOf(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at).replace(/^msg_zerocopy_/, ''), Number(line.slice(at + 1))];
    }),
  );
}

function assertSamples(text: string, now: Now): void {
  const found = samplesOf(text);
  for (const [counter, value] of Object.entries(now.totals)) {
    assert.equal(found.get(COUNTERS[counter] as string), value, counter);
  }
  assert.equal(found.get('sent_bytes_total{method="zero_copy"}'), BYTES);
  assert.equal(found.get('sockets'), 1);
  assert.equal(found.get('pinned_bytes'), 0);
  assert.equal(found.get('pinned_limit_bytes'), now.budgetBytes);
  const { count, sum } = now.releaseLatency;
  assert.ok(count > 0);
  assert.equal(found.get('release_duration_seconds_bucket{le="+Inf"}'), count);
  assert.equal(found.get('release_duration_seconds_count'), count);
  assert.equal(found.get('release_duration_seconds_sum'), sum);
}

// https://prometheus.io/docs/practices/naming/
function assertConventions(text: string): void {
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)];
  assert.ok(types.length > 20);
  for (const [, name = '', type] of types) {
    assert.match(name, /^msg_zerocopy_[a-z]+(_[a-z]+)*$/);
    assert.equal(name.endsWith('_total'), type === 'counter', name);
    assert.match(text, new RegExp(`^# HELP ${name} \\S`, 'm'));
  }
}

interface Scraped {
  readonly first: string;
  readonly again: string;
  readonly open: string;
  readonly merged: string;
}

function scrape(node: string): void {
  const { shown, now, after } = run<Scraped>(
    node,
    `
    import client from 'prom-client';
    import { collect } from 'msg-zerocopy/prometheus';
    const register = new client.Registry();
    collect(register);
    await send(async () => {
      register.setContentType(client.Registry.PROMETHEUS_CONTENT_TYPE);
      const first = await register.metrics();
      register.resetMetrics(); // of our counts it resets none
      const again = await register.metrics();
      const json = await register.getMetricsAsJSON();
      const merged = await client.AggregatorRegistry.aggregate([json, json]).metrics();
      register.setContentType(client.Registry.OPENMETRICS_CONTENT_TYPE);
      return { first, again, merged, open: await register.metrics() };
    });`,
  );
  assertSamples(shown.first, now);
  assertSamples(shown.again, now);
  assertSamples(shown.open, now);
  assert.ok(shown.open.endsWith('# EOF\n'));
  assertConventions(shown.first);
  const sent = 'sent_bytes_total{method="zero_copy"}';
  assert.equal(samplesOf(after.open).get(sent), 2 * BYTES);
  const both = samplesOf(shown.merged);
  assert.equal(both.get('sent_bytes_total{method="zero_copy"}'), 2 * BYTES);
  assert.equal(both.get('release_duration_seconds_count'), 2 * now.releaseLatency.count);
}

function scrapeWithoutSockets(node: string): void {
  const program = `
    const client = require('prom-client');
    require('msg-zerocopy/prometheus').collect(client.register);
    client.register.metrics().then(console.log);`;
  const text = execFileSync(node, ['-e', program], { cwd: ROOT, encoding: 'utf8' });
  assertConventions(text);
  assert.equal(samplesOf(text).get('sends_total'), 0);
}

// --- OpenTelemetry --------------------------------------------------------------------------------

interface Exported {
  readonly name: string;
  readonly unit: string;
  readonly description: string;
  readonly monotonic: boolean;
  readonly points: readonly { readonly value: number; readonly attributes: object }[];
}

function collectByMeter(node: string): void {
  const { shown, now, after } = run<Exported[]>(
    node,
    `
    import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
    import { observe } from 'msg-zerocopy/opentelemetry';
    class Reader extends MetricReader {
      async onForceFlush() {}
      async onShutdown() {}
    }
    const reader = new Reader();
    const end = observe(new MeterProvider({ readers: [reader] }).getMeter('msg-zerocopy'));
    const look = async () => {
      const { resourceMetrics, errors } = await reader.collect();
      if (errors.length > 0) throw errors[0];
      return resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics);
    };
    await send(async () => {
      await look(); // twice: what is observed must not add up
      const metrics = await look();
      end();
      return metrics.map(({ descriptor, isMonotonic, dataPoints }) => ({
        ...descriptor, monotonic: isMonotonic,
        points: dataPoints.map(({ value, attributes }) => ({ value, attributes })),
      }));
    });`,
  );
  const found = new Map<string, number>();
  for (const { name, unit, description, monotonic, points } of shown) {
    // https://opentelemetry.io/docs/specs/semconv/general/naming/ and /general/metrics/
    assert.match(name, /^msg_zerocopy(\.[a-z]+(_[a-z]+)*)+$/);
    assert.match(unit, /^(By|s|\{[a-z]+\})$/);
    assert.notEqual(description, '');
    for (const { value, attributes } of points) {
      const labels = Object.entries(attributes).map(([key, label]) => {
        assert.match(key, /^msg_zerocopy\.[a-z]+$/);
        return `${key.slice('msg_zerocopy.'.length)}="${label}"`;
      });
      // As Prometheus would name it: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
      const words = name.slice('msg_zerocopy.'.length).replaceAll('.', '_');
      const suffix = { By: '_bytes', s: '_seconds' }[unit] ?? '';
      const total = monotonic ? '_total' : '';
      const shownLabels = labels.length > 0 ? `{${labels.join(',')}}` : '';
      found.set(`${words}${suffix}${total}${shownLabels}`, value);
    }
  }
  for (const [counter, value] of Object.entries(now.totals)) {
    assert.equal(found.get(COUNTERS[counter] as string), value, counter);
  }
  assert.equal(found.get('sockets'), 1);
  assert.equal(found.get('descriptors'), now.openPorts);
  assert.equal(found.get('pinned_limit_bytes'), now.budgetBytes);
  assert.equal(found.get('release_time_seconds_total'), now.releaseLatency.sum);
  // No read since.
  assert.deepEqual(after, shown);
}

function declare(node: string): void {
  it('prom-client shows what metrics() reports, on every read, summed over workers, and as OpenMetrics', () =>
    scrape(node));
  it('prom-client shows zeros before the first socket', () => scrapeWithoutSockets(node));
  it('an OpenTelemetry meter shows what metrics() reports, until observation ends', () =>
    collectByMeter(node));
}

describe('exporters', () => {
  declare(process.execPath);

  forEachTestNode((node, version) => describe(`under ${version}`, () => declare(node)));
});
