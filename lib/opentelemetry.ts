// `msg-zerocopy/opentelemetry`: metrics() for OpenTelemetry.
import type { Meter, Observable } from '@opentelemetry/api';
import { metrics, type ProcessMetrics } from './index.js';
import { invalidType } from './errors.js';
import { instruments, type Instrument, type Sample } from './instruments.js';

const PREFIX = 'msg_zerocopy';

// The API has no observable histogram, so these report the total time and the number of releases.
const RELEASE_TIME: Instrument = {
  kind: 'counter',
  name: 'release.time',
  unit: 's',
  help: 'Seconds from the acceptance of zero-copy sends to their release, summed over all releases',
  read: ({ releaseLatency }) => [{ value: releaseLatency.sum, labels: {} }],
};

// Attributes have a namespace, too: `reason` becomes `msg_zerocopy.reason`.
function attributesOf(labels: Sample['labels']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(labels).map(([label, value]) => [`${PREFIX}.${label}`, value]),
  );
}

/**
 * Makes a meter observe everything that metrics() returns: observable counters and up-down counters named
 * `msg_zerocopy.…`, with UCUM units. docs/observability.md lists them. Each collection calls metrics() once.
 * @param meter as `metrics.getMeter('msg-zerocopy')` of @opentelemetry/api. The counters are those of the
 *   calling thread.
 * @returns a function that stops observing
 * @throws ERR_INVALID_ARG_TYPE without a meter
 */
export function observe(meter: Meter): () => void {
  if (typeof (meter as Partial<Meter> | undefined)?.addBatchObservableCallback !== 'function') {
    throw invalidType('meter', 'a Meter, as metrics.getMeter() of OpenTelemetry returns', meter);
  }
  const observed = [...instruments, RELEASE_TIME].map((instrument) => {
    const { kind, name, unit, help: description } = instrument;
    const options = { unit, description };
    const whole = `${PREFIX}.${name}`;
    const observable =
      kind === 'counter'
        ? meter.createObservableCounter(whole, options)
        : meter.createObservableUpDownCounter(whole, options);
    return [instrument, observable] as const;
  });
  const observables: Observable[] = observed.map(([, observable]) => observable);
  const callback: Parameters<Meter['addBatchObservableCallback']>[0] = (result) => {
    const now: ProcessMetrics = metrics();
    for (const [instrument, observable] of observed) {
      for (const { value, labels } of instrument.read(now)) {
        result.observe(observable, value, attributesOf(labels));
      }
    }
  };
  meter.addBatchObservableCallback(callback, observables);
  return () => meter.removeBatchObservableCallback(callback, observables);
}
