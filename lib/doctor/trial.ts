// Trials: a zero-copy send between two sockets of this process, and, if a port was given, one connection to the target,
// over which nothing is sent.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { clearTimeout, setTimeout } from '../node/clock.js';
import { DEFAULT_THRESHOLD_BYTES } from '../policy/threshold.js';
import type { SendReport } from '../observe/report.js';
import { getSubmitRing } from '../native/submit-ring.js';
import { connect } from '../tcp/enable.js';
import type { Finding, Verdict } from './finding.js';
import type { ResolvedTarget } from './path.js';

export type TrialEngine = 'msg_zerocopy' | 'io_uring';

export type Trial = { readonly engine: TrialEngine } & (
  | {
      readonly report: SendReport;
      readonly intact: boolean;
      /** Why this environment has no ring, although the kernel made one for capabilities(). */
      readonly ringless?: string;
    }
  /** Why nothing could be sent; `place`: there is no loopback. */
  | { readonly error: string; readonly step: 'place' | 'send' }
);

const LOOPBACK = '127.0.0.1';
/** The smallest default threshold, so that small limits do not fail the trial. */
const TRIAL_BYTES = DEFAULT_THRESHOLD_BYTES;
const PATIENCE_MS = 5000;

/** Sends once over loopback with that engine. Never throws. */
export async function trySend(engine: TrialEngine): Promise<Trial> {
  const server = net.createServer();
  let step: 'place' | 'send' = 'place';
  try {
    server.listen(0, LOOPBACK);
    await withPatience(once(server, 'listening'), 'listening');
    const { port } = server.address() as net.AddressInfo;
    const arrived = receive(server);
    // It is awaited below; a failure of the sender takes precedence.
    arrived.catch(() => undefined);
    const zeroCopy = { engine, threshold: 0 };
    const socket = connect({ port, host: LOOPBACK, zeroCopy });
    try {
      await withPatience(once(socket, 'connect'), 'connecting');
      step = 'send';
      const data = randomBytes(TRIAL_BYTES);
      const expected = Buffer.from(data);
      const report = await withPatience(socket.send(data), 'the notification');
      // The memory is released: changing it must not change what arrives.
      data.fill(0);
      socket.end();
      const intact = expected.equals(await withPatience(arrived, 'receiving'));
      const ringless = engine === 'io_uring' ? whyRingless() : undefined;
      return { engine, report, intact, ...(ringless === undefined ? {} : { ringless }) };
    } finally {
      socket.destroy();
    }
  } catch (error) {
    return { engine, error: error instanceof Error ? error.message : String(error), step };
  } finally {
    server.close();
  }
}

// The real ring is larger than the one for trials. Its memory counts against RLIMIT_MEMLOCK, which may allow one but
// not the other.
function whyRingless(): string | undefined {
  const ring = getSubmitRing();
  return 'why' in ring ? ring.why : undefined;
}

async function receive(server: net.Server): Promise<Buffer> {
  const [socket] = (await once(server, 'connection')) as [net.Socket];
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function withPatience<T>(wanted: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const error = new Error(`${what} took longer than ${PATIENCE_MS / 1000} s`);
    timer = setTimeout(() => reject(error), PATIENCE_MS);
  });
  try {
    return await Promise.race([wanted, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Findings for every engine that was tried. */
export function trialFindings(trials: readonly Trial[]): Finding[] {
  const good = trials.find(isGood)?.engine;
  return trials.map((trial) => trialFinding(trial, good));
}

/** The kernel released memory that this package did not copy. */
function isGood(trial: Trial): boolean {
  if (!('report' in trial) || trial.ringless !== undefined) return false;
  return trial.intact && trial.report.copiedBytes === 0;
}

function trialFinding(trial: Trial, good: TrialEngine | undefined): Finding {
  const same = { id: `trial-${trial.engine}`, title: `Trial send by ${trial.engine}` };
  // If one engine works, the other is only a limitation.
  const failed: Verdict = good === undefined ? 'blocked' : 'limited';
  if ('error' in trial) {
    if (trial.step === 'place') {
      const detail = `No connection could be made inside this process: ${trial.error}.`;
      return { ...same, verdict: 'note', detail, remedy: { command: 'ip link set lo up' } };
    }
    // A platform that never notifies would keep callbacks waiting.
    const remedy = { command: `export MSG_ZEROCOPY_ENGINE=${good ?? 'copy'}` };
    return { ...same, verdict: failed, detail: `It failed: ${trial.error}.`, remedy };
  }
  const { bytes, zeroCopyBytes, copiedBytes, kernelCopiedBytes, reason } = trial.report;
  if (!trial.intact) {
    const detail = `${bytes} bytes were sent, and different ones arrived. Please report this.`;
    return { ...same, verdict: 'blocked', detail };
  }
  if (trial.ringless !== undefined) {
    const detail = `This thread cannot have a ring, so MSG_ZEROCOPY is used instead: ${trial.ringless}.`;
    return { ...same, verdict: failed, detail };
  }
  if (copiedBytes > 0) {
    const why = reason ?? 'reason unknown';
    const detail = `This package copied ${copiedBytes} of ${bytes} bytes: ${why}.`;
    return { ...same, verdict: failed, detail };
  }
  const whatTheKernelSaid =
    zeroCopyBytes === bytes
      ? 'and did not copy them'
      : kernelCopiedBytes === bytes
        ? 'and said that it copied them, as Linux always does on loopback'
        : 'and did not say whether it copied them';
  const detail =
    `${bytes} bytes went over a connection inside this process without a copy by this package. The kernel ` +
    `released them ${whatTheKernelSaid}. They arrived as they were sent.`;
  return { ...same, verdict: 'ok', detail };
}

export interface Connection {
  readonly address: string;
  readonly port: number;
  readonly local?: string;
  /** Code of the failure. */
  readonly error?: string;
}

/** Opens one connection, sends nothing and closes it. Never throws. */
export async function tryConnection(target: ResolvedTarget, port: number): Promise<Connection> {
  const { address } = target;
  const socket = net.connect({ host: address, port });
  try {
    await withPatience(once(socket, 'connect'), 'connecting');
    return { address, port, ...localOf(socket) };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return { address, port, error: code ?? message };
  } finally {
    socket.destroy();
  }
}

function localOf({ localAddress }: net.Socket): Pick<Connection, 'local'> {
  return localAddress === undefined ? {} : { local: localAddress };
}

export function connectionFinding({ address, port, local, error }: Connection): Finding {
  const same = { id: 'connection', title: 'Connection' };
  if (error !== undefined) {
    const detail = `Connecting to ${address} port ${port} failed: ${error}.`;
    return { ...same, verdict: 'limited', detail };
  }
  const from = local === undefined ? '' : ` from ${local}`;
  const detail = `A connection to ${address} port ${port}${from} was opened and closed; nothing was sent.`;
  return { ...same, verdict: 'ok', detail };
}
