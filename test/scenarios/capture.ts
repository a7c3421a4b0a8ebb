// One long-lived connection in mode 'auto', beside which a capture comes and goes.
import assert from 'node:assert/strict';
import { Heard } from '../helpers/heard';
import type { Outgoing } from '../helpers/outgoing';
import { type Address, ReceiverClient } from '../helpers/receiver-client';
import { until } from '../../scripts/until';

interface Session {
  readonly client: ReceiverClient;
  readonly out: Outgoing;
  readonly fallbacks: Heard<{ reason: string; socket: unknown }>;
  readonly resumes: Heard<{ socket: unknown }>;
}

let session: Session | undefined;

function present(): Session {
  assert.ok(session !== undefined);
  return session;
}

export async function begin(params: { readonly to: Address }): Promise<void> {
  const client = await ReceiverClient.open(params.to);
  const out = await client.stream({}, { zeroCopy: { engine: 'auto' } });
  session = { client, out, fallbacks: new Heard('fallback'), resumes: new Heard('resume') };
}

/** Streams until the control says `state`; answers what it said, and how long that took. */
export async function streamUntil(params: { readonly state: string; readonly withinMs: number }) {
  const { out } = present();
  const { zeroCopy } = out.socket;
  const started = performance.now();
  const before = zeroCopy.stats;
  await until(
    `state '${params.state}'`,
    async () => {
      // Who waited for callbacks would be taken for a writer that waits, and be copied for.
      for (let i = 0; i < 16; i++) if (!out.write(64 * 1024)) await out.drained();
      return zeroCopy.state === params.state;
    },
    params.withinMs,
  );
  const { state, reason, stats } = zeroCopy;
  return { state, reason, before, stats, tookMs: performance.now() - started };
}

export async function end() {
  const { client, out, fallbacks, resumes } = present();
  out.end(1);
  const report = await client.report(out);
  await out.settled();
  fallbacks.stop();
  resumes.stop();
  await client.close();
  const own = (message: { socket: unknown }): boolean => message.socket === out.socket;
  return {
    report,
    written: out.written,
    errors: out.errors,
    fallbacks: fallbacks.messages.filter(own).map((message) => message.reason),
    resumes: resumes.messages.filter(own).length,
  };
}
