// `msg-zerocopy/prometheus`: metrics() for prom-client.
import type { Registry } from 'prom-client';
import { metrics, type ProcessMetrics } from './index.js';
import { invalidType } from './errors.js';
import { nextTick } from './node/clock.js';
import { instruments, type Instrument, type Sample } from './instruments.js';

const PREFIX = 'msg_zerocopy';
const RELEASE = `${PREFIX}_release_duration_seconds`;

const SUFFIXES = { By: '_bytes', s: '_seconds' } as const;

/** By the conventions: https://prometheus.io/docs/practices/naming/ */
function nameOf({ kind, name, unit }: Instrument): string {
  const words = name.replaceAll('.', '_');
  const suffix = unit === 'By' || unit === 's' ? SUFFIXES[unit] : '';
  return `${PREFIX}_${words}${suffix}${kind === 'counter' ? '_total' : ''}`;
}

interface Value extends Sample {
  readonly metricName?: string;
}

/** The interface that a registry of prom-client needs of a metric whose values exist already. */
class Metric {
  /** Not read-only: for OpenMetrics the registry removes `_total`. */
  name: string;
  readonly #help: string;
  readonly #type: 'counter' | 'gauge' | 'histogram';
  readonly #read: () => readonly Value[];

  constructor(name: string, help: string, type: Metric['type'], read: () => readonly Value[]) {
    this.name = name;
    this.#help = help;
    this.#type = type;
    this.#read = read;
  }

  get type(): 'counter' | 'gauge' | 'histogram' {
    return this.#type;
  }

  get(): Promise<object> {
    const { name } = this;
    return Promise.resolve({
      ...{ name, help: this.#help, type: this.#type, aggregator: 'sum' },
      values: this.#read(),
    });
  }

  /** Does nothing: the counters belong to this package. */
  reset(): void {}
}

function releaseValues({ releaseLatency: { buckets, count, sum } }: ProcessMetrics): Value[] {
  return [
    ...buckets.map(({ le, count: value }) => ({
      metricName: `${RELEASE}_bucket`,
      labels: { le: le === Infinity ? '+Inf' : String(le) },
      value,
    })),
    { metricName: `${RELEASE}_sum`, labels: {}, value: sum },
    { metricName: `${RELEASE}_count`, labels: {}, value: count },
  ];
}

/**
 * Adds everything that metrics() returns to a registry of prom-client, read whenever the registry is:
 * counters `msg_zerocopy_…_total`, gauges, and the histogram `msg_zerocopy_release_duration_seconds`.
 * docs/observability.md lists them. Each read of the registry calls metrics() once.
 * @param register as `client.register`, or a Registry of your own; workers of node:cluster are summed up by an
 *   AggregatorRegistry. The counters are those of the calling thread.
 * @throws ERR_INVALID_ARG_TYPE without a registry; prom-client's error when it is called twice for one registry.
 */
export function collect(register: Registry): void {
  if (typeof (register as Partial<Registry> | undefined)?.registerMetric !== 'function') {
    throw invalidType('register', "a Registry of prom-client, such as its 'register'", register);
  }
  let snapshot: ProcessMetrics | undefined;
  // All metrics of a registry are read together, and each call of metrics() costs something for every open socket.
  const now = (): ProcessMetrics => {
    if (snapshot === undefined) {
      snapshot = metrics();
      nextTick(() => (snapshot = undefined));
    }
    return snapshot;
  };
  const all = instruments.map(
    (instrument) =>
      new Metric(
        nameOf(instrument),
        instrument.help,
        instrument.kind === 'counter' ? 'counter' : 'gauge',
        () => instrument.read(now()),
      ),
  );
  const help = 'Seconds from the acceptance of a zero-copy send to its release';
  all.push(new Metric(RELEASE, help, 'histogram', () => releaseValues(now())));
  // prom-client's types accept only its own classes.
  for (const metric of all) register.registerMetric(metric as never);
}
