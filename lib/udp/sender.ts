// The send methods of a UDP socket: turns calls into jobs of its engine. Resolves host names; a send that waits for
// bind() or a lookup keeps its place.
import type { BlockList } from 'node:net';
import { constants } from 'node:os';
import { AsyncResource } from 'node:async_hooks';
import { isUint8Array } from 'node:util/types';
import { nextTick } from '../node/clock.js';
import type { DatagramCore } from '../datagram/core.js';
import {
  DatagramJob,
  pinning,
  SEND_CONTEXT,
  type JobGroup,
  type SendCallback,
} from '../datagram/job.js';
import type { DatagramSender } from '../datagram/sender.js';
import { type DatagramMetadata, Destinations } from '../datagram/metadata.js';
import { addressError, ipBlocked, notRunning } from '../errors.js';
import { pinAllUntil } from '../memory/pool-pins.js';
import type { SendReport } from '../observe/report.js';
import { abortError } from '../send/arguments.js';
import {
  bytesOf,
  checkItems,
  groupItems,
  joinExcess,
  type DatagramItem,
} from '../datagram/arguments.js';
import {
  checkPort,
  checkSegments,
  checkSendOptions,
  payloadsOf,
  sendArguments,
  type CheckedSendOptions,
} from './arguments.js';
import { callbackPart, promisePart, type CorkedPart } from './cork.js';
import type { UdpRemoteInfo, UdpSendOptions, UdpSocketOptions } from './types.js';

const { EINVAL } = constants.errno;

/** What the sender needs from its socket. */
export interface UdpRouting {
  /** Runs `task` when the socket is bound; binds it if necessary. */
  whenBound(task: () => void, failed: (error: Error) => void): void;
  /** Resolves a host name; an address, within the call. */
  resolve(host: string, done: (error: Error | null, ip: string) => void): void;
}

/** Datagrams of one sendMany() with the same options. */
interface Plan {
  payloads: Uint8Array[];
  bytes: number;
  /** Undefined: the payloads make up one datagram. */
  readonly lengths: number[] | undefined;
  readonly options: CheckedSendOptions;
}

/** A send of a corked socket, and where it goes. */
interface Corked {
  readonly part: CorkedPart;
  readonly to: Partial<CheckedSendOptions>;
}

const NO_OPTIONS: CheckedSendOptions = {
  port: undefined,
  address: undefined,
  segmentSize: 0,
  tos: undefined,
  source: undefined,
  interface: undefined,
  signal: undefined,
};

export class UdpSender {
  /** The socket is bound, and connected. The socket sets them; every send reads them. */
  isBound = false;
  isConnected = false;
  #corked: Corked[] | undefined;
  /** The error of bind(), which was already emitted. */
  #bindError: Error | undefined;
  readonly #core: DatagramCore<UdpRemoteInfo>;
  readonly #version: 4 | 6;
  readonly #routing: UdpRouting;
  // The last destination is known without a lookup and without a check.
  readonly #remembers: boolean;
  readonly #destinations: Destinations;
  readonly #blockList: BlockList | undefined;

  constructor(
    core: DatagramCore<UdpRemoteInfo>,
    version: 4 | 6,
    routing: UdpRouting,
    { lookup, sendBlockList: blockList }: Pick<UdpSocketOptions, 'lookup' | 'sendBlockList'>,
  ) {
    this.#core = core;
    this.#version = version;
    this.#routing = routing;
    this.#destinations = new Destinations(version, core.native);
    this.#blockList = blockList;
    this.#remembers = lookup === undefined && blockList === undefined;
  }

  /** The socket was connected to the sockaddr `name`. */
  connectedTo(name: Uint8Array): void {
    this.#destinations.connectedTo(name);
  }

  /** node:dgram's signatures. Throws: as node:dgram does. */
  send(args: readonly unknown[]): void {
    const core = this.#core;
    const connected = this.isConnected;
    const given = sendArguments(connected, args);
    const { port, address } = given;
    if (core.isClosed) throw notRunning();
    const waits = given.callback !== undefined;
    const payloads =
      waits && core.zeroCopy.looksAtChunks
        ? this.#handedOver(given.payloads, 'gathered')
        : given.payloads;
    const resource = waits ? new AsyncResource(SEND_CONTEXT) : undefined;
    const bytes = payloads.length === 1 ? (payloads[0] as Uint8Array).length : bytesOf(payloads);
    let known: DatagramMetadata | undefined;
    if (connected) known = this.#destinations.connected();
    else if (this.isBound && this.#remembers) known = this.#destinations.last(address, port);
    if (known !== undefined && this.#corked === undefined) {
      this.#submit(payloads, bytes, known, given.callback, resource);
      return;
    }
    const unpin = waits ? pinAllUntil(payloads) : undefined;
    const callback = given.callback && pinning(payloads, given.callback, unpin);
    if (this.#corked !== undefined) {
      const part = callbackPart(payloads, bytes, callback, resource, this.#core.socket);
      this.#corked.push({ part, to: { address, port: connected ? undefined : port } });
      return;
    }
    let kept = payloads;
    let isRouted = false;
    try {
      this.#route(address, port, (error, metadata) => {
        isRouted = true;
        if (metadata !== undefined) this.#submit(kept, bytes, metadata, callback, resource);
        else this.#fail(error as Error, callback, resource);
      });
    } catch (thrown) {
      // A lookup of the program's own threw.
      unpin?.();
      throw thrown;
    }
    // A message without a callback is the caller's again when send() returns.
    if (callback === undefined && !isRouted) {
      kept = payloads.map((payload) => Buffer.from(payload));
    }
  }

  /** The signatures that answer a promise. Throws: on bad arguments. */
  sendReported(message: unknown, given: unknown): Promise<SendReport> {
    const options = this.#checkOptions(given);
    const payloads = payloadsOf(message);
    const bytes = bytesOf(payloads);
    checkSegments(bytes, options.segmentSize);
    this.#checkDestination(options);
    this.#core.checkRunning();
    const handed = this.#handedOver(payloads, 'gathered');
    if (this.#corked !== undefined) return this.#gather(this.#corked, handed, bytes, options);
    const plan: Plan = { payloads: [...handed], bytes, lengths: undefined, options };
    return this.#report([plan], options.signal);
  }

  #handedOver(payloads: readonly Uint8Array[], kind: 'gathered' | 'each'): readonly Uint8Array[] {
    return this.#core.zeroCopy.handedOver(payloads, this.#corked === undefined ? kind : 'part');
  }

  // A promise's part of a corked datagram.
  #gather(
    corked: Corked[],
    payloads: readonly Uint8Array[],
    bytes: number,
    to: CheckedSendOptions,
  ): Promise<SendReport> {
    const { part, promise } = promisePart(payloads, bytes);
    corked.push({ part, to });
    return pinnedWhile(promise, payloads);
  }

  /** Sends until uncork() form one datagram, which goes to the destination of the first. */
  cork(): void {
    this.#corked ??= [];
  }

  /** The destination changes: sends what is corked to the old one. */
  sendCorked(): void {
    if (this.#corked === undefined) return;
    this.uncork();
    this.cork();
  }

  uncork(): void {
    const corked = (this.#corked ?? []).filter(({ part, to }) => {
      if (to.signal?.aborted === true)
        nextTick(() => part.settle?.(abortError(to.signal as AbortSignal), undefined));
      return to.signal?.aborted !== true;
    });
    this.#corked = undefined;
    const [first] = corked;
    if (first === undefined) return;
    const settle = (error: Error | null, report?: SendReport): void => {
      for (const { part } of corked) {
        if (error !== null && part.settle === undefined) this.#core.counters.failedSends++;
        part.settle?.(error, report);
      }
    };
    if (this.#core.isClosed) return nextTick(settle, notRunning());
    const payloads = joinExcess(corked.flatMap(({ part }) => part.payloads));
    const options = { ...NO_OPTIONS, ...first.to, signal: undefined };
    // Their sizes when they were sent, so that a buffer detached since is noticed.
    const bytes = corked.reduce((sum, { part }) => sum + part.bytes, 0);
    const plan: Plan = { payloads: [...payloads], bytes, lengths: undefined, options };
    this.#report([plan], undefined).then((report) => settle(null, report), settle);
  }

  /** Throws: on bad arguments. */
  sendMany(datagrams: unknown, given?: unknown): Promise<SendReport> {
    const common = this.#checkOptions(given);
    const plans = this.#plan(checkItems(datagrams), common, given as UdpSendOptions | undefined);
    for (const plan of plans) this.#checkDestination(plan.options);
    this.#core.checkRunning();
    for (const plan of plans) {
      const kind = plan.lengths === undefined ? 'gathered' : 'each';
      plan.payloads = [...this.#handedOver(plan.payloads, kind)];
    }
    if (this.#corked === undefined) return this.#report(plans, common.signal);
    const all = plans.flatMap((plan) => plan.payloads);
    return this.#gather(this.#corked, all, bytesOf(all), {
      ...(plans[0]?.options ?? common),
      signal: common.signal,
    });
  }

  #checkOptions(given: unknown): CheckedSendOptions {
    return checkSendOptions(given, this.#version, this.isConnected);
  }

  #checkDestination(options: CheckedSendOptions): void {
    if (!this.isConnected) checkPort(options.port, 1);
  }

  #plan(
    datagrams: readonly DatagramItem<UdpSendOptions>[],
    common: CheckedSendOptions,
    given: UdpSendOptions | undefined,
  ): Plan[] {
    // Datagrams with a segment size stand alone.
    const isCut = common.segmentSize > 0;
    const items = isCut
      ? datagrams.map((item) => (isUint8Array(item) ? { data: item } : item))
      : datagrams;
    return groupItems<UdpSendOptions, Plan>(
      items,
      (_item, run) => run ?? { payloads: [], bytes: 0, lengths: [], options: common },
      ({ data, ...own }) => {
        const options = this.#checkOptions({ ...given, ...own, signal: undefined });
        const payloads = [...payloadsOf(data)];
        const bytes = bytesOf(payloads);
        checkSegments(bytes, options.segmentSize);
        return { payloads, bytes, lengths: undefined, options };
      },
    );
  }

  #report(plans: readonly Plan[], signal: AbortSignal | undefined): Promise<SendReport> {
    // What was corked before connect() has its own destination.
    const isPlain = plans.every(({ options }) => options.port === undefined);
    if (isPlain && this.isConnected && this.isBound) {
      const connected = this.#destinations.connected();
      return this.#core.report(
        plans.map((plan) => this.#group(plan, connected)),
        signal,
      );
    }
    const report = new Promise<SendReport>((resolve, reject) => {
      const groups: JobGroup[] = [];
      let left = plans.length;
      let failure: Error | undefined;
      const send = (): void => {
        if (failure === undefined) return resolve(this.#core.report(groups, signal));
        if (this.#core.isClosed) groups.length = 0;
        this.#sendRest(groups, signal, failure).catch(reject);
      };
      if (left === 0) send();
      plans.forEach((plan, index) => {
        const { address, port } = plan.options;
        this.#route(address, port ?? 0, (error, metadata) => {
          if (this.#core.isClosed) failure ??= error ?? notRunning();
          else if (metadata === undefined) failure ??= error as Error;
          else groups[index] = this.#group(plan, metadata);
          if (--left === 0) send();
        });
      });
    });
    return pinnedWhile(
      report,
      plans.flatMap(({ payloads }) => payloads),
    );
  }

  // Some have no route: sends the others, and the error says how many went out.
  async #sendRest(
    groups: readonly JobGroup[],
    signal: AbortSignal | undefined,
    failure: Error,
  ): Promise<never> {
    const routed = groups.filter((group) => group !== undefined);
    const count = ({ lengths }: JobGroup): number => lengths?.length ?? 1;
    // Rejects with the kernel's error, if there is one.
    await this.#core.report(routed, signal);
    const sentDatagrams = routed.reduce((sum, group) => sum + count(group), 0);
    throw Object.assign(failure, { sentDatagrams });
  }

  #group({ payloads, bytes, lengths, options }: Plan, destination: DatagramMetadata): JobGroup {
    const metadata = this.#destinations.with(destination, options);
    return { payloads, bytes, lengths, metadata, prefix: undefined };
  }

  // Finds the metadata of a destination, once the socket is bound and the host name resolved.
  #route(
    host: string | undefined,
    port: number,
    done: (error: Error | undefined, metadata?: DatagramMetadata) => void,
  ): void {
    const routing = this.#routing;
    const find = (): void => {
      if (port === 0 && this.isConnected) return done(undefined, this.#destinations.connected());
      routing.resolve(host ?? '', (error, ip) => {
        if (error !== null) return done(error);
        if (this.#blockList?.check(ip, this.#version === 4 ? 'ipv4' : 'ipv6') === true) {
          return done(ipBlocked(ip));
        }
        const metadata = this.#destinations.to(ip, host, port);
        if (metadata === undefined) done(addressError(-EINVAL, 'send', host, port));
        else done(undefined, metadata);
      });
    };
    if (this.isBound) find();
    else {
      routing.whenBound(find, (error) => {
        this.#bindError = error;
        done(error);
      });
    }
  }

  #submit(
    payloads: readonly Uint8Array[],
    bytes: number,
    metadata: DatagramMetadata,
    callback: SendCallback | undefined,
    resource: AsyncResource | undefined,
  ): void {
    if (this.#core.isClosed) return this.#fail(notRunning(), callback, resource);
    const job = new DatagramJob({
      payloads,
      bytes,
      lengths: undefined,
      metadata,
      prefix: undefined,
      callback,
      resource,
      tracker: undefined,
    });
    (this.#core.engine as DatagramSender).submit(job);
  }

  // As node:dgram: a failed lookup goes to the callback, or is the socket's 'error'.
  #fail(
    error: Error,
    callback: SendCallback | undefined,
    resource: AsyncResource | undefined,
  ): void {
    nextTick(() => {
      if (callback === undefined || resource === undefined) {
        const isReported = error === this.#bindError;
        const isSends = (error as NodeJS.ErrnoException).syscall === 'send';
        if (isReported || isSends) this.#core.counters.failedSends++;
        else this.#core.receiver.emitError(error);
        return;
      }
      resource.runInAsyncScope(callback as (error: Error) => void, this.#core.socket, error);
    });
  }
}

// No engine has what waits for bind(), a lookup or uncork(), so pin it until then.
function pinnedWhile<T>(promise: Promise<T>, payloads: readonly Uint8Array[]): Promise<T> {
  const unpin = pinAllUntil(payloads);
  return unpin === undefined ? promise : promise.finally(unpin);
}
