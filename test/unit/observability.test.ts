// docs/observability.md and the dashboard name what there is.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Registry } from 'prom-client';
import { instruments } from '../../lib/instruments';
import { collect } from '../../lib/prometheus';

const ROOT = path.resolve(__dirname, '../../..');
const RELEASE = 'release_duration_seconds';

function namesInPrometheus(): string[] {
  const register = new Registry();
  collect(register);
  const names = register.getMetricsAsArray().map(({ name }) => name.replace('msg_zerocopy_', ''));
  return names.sort();
}

describe('the documentation of metrics', () => {
  it('docs/observability.md lists every metric of both systems with its unit, and no others', () => {
    const text = readFileSync(path.join(ROOT, 'docs/observability.md'), 'utf8');
    const rows = [...text.matchAll(/^\| (?:`(\w+)`[^|]*)?\| (?:`([\w.]+)` )?\| `([^`]+)` \|/gm)];
    const prometheus = rows.map(([, name]) => name).filter((name) => name !== undefined);
    assert.deepEqual(prometheus.sort(), namesInPrometheus());
    assert.deepEqual(
      rows.filter(([, , name]) => name !== undefined).map(([, , name, unit]) => [name, unit]),
      [...instruments.map(({ name, unit }) => [name, unit]), ['release.time', 's']],
    );
  });

  it('the dashboard queries existing metrics, by their labels', () => {
    const file = path.join(ROOT, 'examples/grafana-dashboard.json');
    const { panels } = JSON.parse(readFileSync(file, 'utf8')) as {
      panels: { title: string; targets: { expr: string }[] }[];
    };
    const known = new Set(namesInPrometheus());
    assert.ok(panels.length >= 8);
    for (const { title, targets } of panels) {
      assert.notEqual(targets.length, 0, title);
      for (const { expr } of targets) {
        const names = [...expr.matchAll(/msg_zerocopy_(\w+)/g)].map(([, name = '']) => name);
        assert.notEqual(names.length, 0, expr);
        for (const name of names)
          assert.ok(known.has(name.replace(`${RELEASE}_bucket`, RELEASE)), name);
        const [, by] = /by \((\w+)\)/.exec(expr) ?? [];
        const expected = {
          sent_bytes_total: 'method',
          fallbacks_total: 'reason',
          aborts_total: 'reason',
        };
        const label = expected[names[0] as keyof typeof expected];
        assert.equal(by, names[0] === `${RELEASE}_bucket` ? 'le' : label, expr);
      }
    }
  });
});
