// The sending process of a run: sends for a while, waits until every buffer was released, and says
// what the socket's own accounts tell.
// Usage: node sender.js MODE; speaks over IPC (see protocol.ts).
import { once } from 'node:events';
import { setImmediate, setTimeout } from 'node:timers/promises';
import type { Reason, SendReport } from '../../lib/index';
import type { Channel, OpenChannel } from './channels/channel';
import { fill } from './message';
import type { FromSender, SenderOrder, SenderResult, ToSender, Travelled } from './protocol';
import type { Mode } from './trial';
import { obstacleBehind } from './unavailable';

/** Messages sent before others get their turn of the event loop. */
const BURST = 8;
/** What was sent must arrive within so long, or has not. */
const STALL_MS = 2000;
/** Sent memory must be released within so long. */
const SETTLE_MS = 5000;

// Loaded when needed: a mode that cannot be loaded does not keep the others from running.
async function channelFor(mode: Mode): Promise<OpenChannel> {
  switch (mode) {
    case 'tcp':
      return (await import('./channels/tcp.js')).openTcpChannel;
    case 'udp':
      return (await import('./channels/udp.js')).openUdpChannel;
    case 'raw':
    case 'raw_hdrincl':
      return (await import('./channels/raw.js')).openRawChannel;
    case 'packet':
    case 'packet_dgram':
      return (await import('./channels/packet.js')).openPacketChannel;
  }
}

/** Keeps no more messages on their way than the receiver's socket can hold. */
class Window {
  #arrived = 0;
  #wake: () => void = () => undefined;

  constructor(readonly size: number) {}

  // The first goes alone: until the neighbour is found, its queue holds three of 64 KiB, and drops others
  // (net/core/neighbour.c:__neigh_event_send).
  get #present(): number {
    return this.#arrived === 0 && this.size !== Infinity ? 1 : this.size;
  }

  arrived(messages: number): void {
    this.#arrived = messages;
    this.#wake();
  }

  /** Whether one more may be sent after `sent`; waits for it. False: nothing arrives any longer. */
  async opens(sent: number): Promise<boolean> {
    while (sent - this.#arrived >= this.#present) {
      const before = this.#arrived;
      const stalled = new AbortController();
      const late = setTimeout(STALL_MS, undefined, { signal: stalled.signal }).catch(
        () => undefined,
      );
      await Promise.race([new Promise<void>((resolve) => (this.#wake = resolve)), late]);
      stalled.abort();
      if (this.#arrived === before) return false;
    }
    return true;
  }
}

/** One run, from the first message to the result. */
class Transmission {
  readonly #order: SenderOrder;
  readonly #channel: Channel;
  readonly #underWay = new Set<Promise<void>>();
  readonly window: Window;
  readonly #travelled: Travelled = {
    bytes: 0,
    zeroCopyBytes: 0,
    copiedBytes: 0,
    kernelCopiedBytes: 0,
    unknownBytes: 0,
  };
  readonly #reasons = new Set<Reason>();
  #messages = 0;
  #stalled = false;
  #failure: Error | undefined;

  constructor(order: SenderOrder, channel: Channel) {
    this.#order = order;
    this.#channel = channel;
    this.window = new Window(order.window ?? Infinity);
  }

  async run(): Promise<SenderResult> {
    const start = performance.now();
    const stop = start + this.#order.trial.seconds * 1000;
    while (performance.now() < stop && this.#failure === undefined) {
      this.#stalled = !(await this.window.opens(this.#messages));
      if (this.#stalled) break;
      await this.#channel.room();
      this.#transmit();
      if (this.#messages % BURST === 0) await setImmediate();
    }
    const seconds = (performance.now() - start) / 1000;
    await within(SETTLE_MS, Promise.all(this.#underWay));
    const unsettled = this.#underWay.size * (this.#order.trial.cork ?? 1);
    if (this.#failure !== undefined) throw this.#failure;
    if (unsettled === 0) await within(SETTLE_MS, this.#channel.control.flush());
    return this.#result(seconds, unsettled);
  }

  #transmit(): void {
    const { token, trial } = this.#order;
    const nth = this.#messages++;
    const message =
      trial.mode === 'tcp'
        ? { token, sequence: 0, length: 0 }
        : { token, sequence: nth, length: trial.bytes };
    const offset = trial.mode === 'tcp' ? nth * trial.bytes : 0;
    const sent: Promise<void> = this.#channel
      .transmit((payload) => fill(payload, message, offset))
      .then((reports) => reports.forEach((report) => this.#count(report)))
      .catch((error: Error) => (this.#failure ??= error))
      .then(() => void this.#underWay.delete(sent));
    this.#underWay.add(sent);
  }

  #count(report: SendReport): void {
    for (const name of Object.keys(this.#travelled) as (keyof Travelled)[]) {
      this.#travelled[name] += report[name];
    }
    if (report.reason !== undefined) this.#reasons.add(report.reason);
  }

  #result(seconds: number, unsettled: number): SenderResult {
    const { trial } = this.#order;
    const { control, headerBytes } = this.#channel;
    const { engine, reason, pendingSends, pendingBytes, stats } = control;
    if (reason !== undefined) this.#reasons.add(reason);
    return {
      sends: this.#messages * (trial.cork ?? 1),
      messages: this.#messages,
      bytes: this.#messages * trial.bytes,
      passedBytes: this.#messages * (trial.bytes + headerBytes),
      seconds,
      stalled: this.#stalled,
      unsettled,
      travelled: this.#travelled,
      engine: stats.zeroCopySends > 0 ? engine : 'copy',
      reasons: [...this.#reasons],
      pendingSends,
      pendingBytes,
      stats,
    };
  }
}

async function within(milliseconds: number, done: Promise<unknown>): Promise<void> {
  const over = new AbortController();
  const late = setTimeout(milliseconds, undefined, { signal: over.signal }).catch(() => undefined);
  await Promise.race([done, late]);
  over.abort();
}

// Closing the channel to the parent also lets the process end.
function sayLast(message: FromSender): void {
  process.send?.(message, () => process.disconnect());
}

async function main(): Promise<void> {
  // The parent is gone, or needs no more.
  process.once('disconnect', () => process.exit());
  const ordered = once(process, 'message') as Promise<[{ order: SenderOrder }]>;
  const loading = channelFor(process.argv[2] as Mode);
  const [{ order }] = await ordered;
  try {
    const open = await loading;
    const channel = await open(order);
    const transmission = new Transmission(order, channel);
    process.on('message', (message: ToSender) => {
      if ('arrived' in message) transmission.window.arrived(message.arrived);
    });
    const result = await transmission.run();
    await within(SETTLE_MS, channel.close());
    sayLast({ event: 'sent', result });
  } catch (error) {
    const obstacle = obstacleBehind(error, order.trial.family);
    if (obstacle !== undefined) sayLast({ event: 'unavailable', ...obstacle });
    else sayLast({ event: 'failed', reason: (error as Error).message });
  }
}

void main();
