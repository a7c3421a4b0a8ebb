// UDP sockets where the addon cannot load: node:dgram's own sockets, with the additional methods on top. Options that
// node:dgram cannot carry out are refused by name.
import { AsyncResource } from 'node:async_hooks';
import dgram from 'node:dgram';
import { type AddressInfo, isIP } from 'node:net';
import { isUint8Array } from 'node:util/types';
import { nextTick, setImmediate } from '../node/clock.js';
import { SocketControl } from '../observe/control.js';
import { CopyingSource } from './copying-source.js';
import { bytesOf, checkItems, joinExcess, type DatagramItem } from '../datagram/arguments.js';
import { type Arrival, DatagramIterator } from '../datagram/receive.js';
import { SEND_CONTEXT, type SendCallback } from '../datagram/job.js';
import { resolveDatagramOptions } from '../datagram/options.js';
import { abortError } from '../send/arguments.js';
import type { DatagramControl } from '../datagram/socket.js';
import * as errors from '../errors.js';
import type { Missing } from '../native/loader.js';
import { SendTracker, type SendReport } from '../observe/report.js';
import * as udpArguments from './arguments.js';
import { type Outgoing, type OnSettled, type Message, Outbox, type Payloads } from './outbox.js';
import type * as udp from './types.js';

/** Options that dgram cannot carry out. */
const ONLY_OURS = ['tos', 'source', 'interface'] as const;

/** node:dgram's own, since Node 24.21. */
const { bindSync, connectSync } = dgram.Socket.prototype as Partial<
  Pick<udp.ZeroCopyUdpSocket, 'bindSync' | 'connectSync'>
>;

const NodesSocket = dgram.Socket as unknown as new (
  options: object,
  onMessage?: udp.UdpMessageListener,
) => dgram.Socket;

export class FallbackUdpSocket extends NodesSocket {
  readonly #version: 4 | 6;
  readonly #options: udp.UdpSocketOptions;
  readonly #missing: Missing;
  readonly #iterators = new Set<DatagramIterator<Arrival<udp.UdpRemoteInfo>>>();
  readonly #outbox: Outbox;
  /** By the callback that dgram was given. */
  readonly #byCallback = new WeakMap<object, Outgoing>();
  #corked: Outgoing[] | undefined;
  #isListening = false;
  #isConnected = false;
  readonly #source: CopyingSource;
  readonly #control: SocketControl;

  /** @param missing why the addon is not there */
  constructor(options: udp.UdpSocketOptions, missing: Missing, onMessage?: udp.UdpMessageListener) {
    udpArguments.checkOwnOptions(options);
    const { maxQueuedBytes } = resolveDatagramOptions(options);
    super(options, onMessage);
    this.#version = options.type === 'udp4' ? 4 : 6;
    this.#options = options;
    this.#missing = missing;
    this.#outbox = new Outbox(maxQueuedBytes);
    this.#source = new CopyingSource(missing.reason, () => this.#outbox.flush());
    this.#control = new SocketControl(this.#source);
  }

  get zeroCopy(): DatagramControl {
    return this.#control as unknown as DatagramControl;
  }

  // Sees every event of the socket before its listeners do, without being a listener.
  override emit(event: string | symbol, ...given: unknown[]): boolean {
    const [first, second] = given as [never, never];
    if (event === 'message' && !this.#arrives(first, second)) return false;
    if (event === 'listening') this.#listens();
    if (event === 'connect') this.#findConnected();
    // If an error comes first, dgram forgets the calls that wait for bind().
    if (event === 'error' && !this.#isListening) this.#settleLater(this.#outbox, first);
    if (event === 'close') this.#end();
    return super.emit(event, ...given);
  }

  #listens(): void {
    this.#isListening = true;
    this.#source.opened();
  }

  bindSync(options?: udp.UdpBindSyncOptions): AddressInfo {
    const address = this.#methodOf('bindSync', bindSync).call(this, options);
    this.#listens();
    return address;
  }

  override connect(port: number, ...rest: unknown[]): void {
    if (udpArguments.isPort(port, 1) && !this.#findConnected()) this.#sendCorked();
    super.connect(port, ...(rest as [string]));
  }

  connectSync(port: number, address?: string): void {
    this.#methodOf('connectSync', connectSync).call(this, port, address);
    this.#isConnected = true;
  }

  /** Throws: ERR_ZC_UNAVAILABLE where node:dgram has none. */
  #methodOf<T>(name: string, method: T | undefined): T {
    if (method !== undefined) return method;
    throw errors.unavailable(
      `UDP sockets with ${name}(), which Node ${process.version} lacks (Node 24.21 has it),`,
      this.#missing.why,
    );
  }

  override disconnect(): void {
    if (this.#findConnected()) this.#sendCorked();
    super.disconnect();
    this.#isConnected = false;
  }

  // connect() takes effect a tick before 'connect', and there is no other sign of it.
  #findConnected(): boolean {
    try {
      if (!this.#isConnected) super.remoteAddress();
      return (this.#isConnected = true);
    } catch {
      return false;
    }
  }

  /** Throws: ERR_SOCKET_DGRAM_NOT_RUNNING. */
  #checkRunning(): void {
    try {
      super.address();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ERR_SOCKET_DGRAM_NOT_RUNNING') throw error;
    }
  }

  // --- sending ------------------------------------------------------------------------------------

  override send(...given: unknown[]): Promise<SendReport> | undefined {
    const [message, second, , fourth] = given;
    const again = typeof fourth === 'function' ? this.#byCallback.get(fourth) : undefined;
    if (again !== undefined) {
      // dgram kept the call until it was bound, and makes it again by this name.
      again.isHanded = true;
      if (!again.isSettled) super.send(...(given as Parameters<dgram.Socket['send']>));
    } else if (typeof second === 'object' && second !== null && !ArrayBuffer.isView(second)) {
      return this.#report(second, () => [{ data: message } as udp.UdpDatagram]);
    } else this.#sendWithCallback(this.#parse(given));
    return undefined;
  }

  sendMany(datagrams: unknown, options: udp.UdpSendOptions = {}): Promise<SendReport> {
    return this.#report(options, () => checkItems<udp.UdpSendOptions>(datagrams));
  }

  #parse(given: unknown[]): udpArguments.SendArguments {
    if (!this.#isConnected) {
      try {
        return udpArguments.sendArguments(false, given);
      } catch (error) {
        // No call is valid both with and without a peer.
        if (!this.#findConnected()) throw error;
      }
    }
    return udpArguments.sendArguments(true, given);
  }

  #sendWithCallback({ payloads, port, address, callback }: udpArguments.SendArguments): void {
    const bytes = bytesOf(payloads);
    // A message without a callback is the caller's again when send() returns.
    const kept = callback === undefined ? [Buffer.concat(payloads)] : payloads;
    const message = { payloads: kept, bytes, segmentSize: 0, port: port || undefined, address };
    const run = callback && new AsyncResource(SEND_CONTEXT).bind(callback);
    const onSettled: OnSettled | undefined =
      run && ((error) => (error === null ? run(null, bytes) : (run as OnSettled)(error)));
    const full = this.#outbox.refusal(bytes);
    if (this.#corked !== undefined || full !== undefined) this.#checkRunning();
    if (full !== undefined) {
      if (onSettled === undefined) this.#source.counters.failedSends++;
      else nextTick(onSettled, full);
      return;
    }
    const outgoing = this.#outbox.add(message, onSettled);
    try {
      this.#start(outgoing);
    } catch (error) {
      this.#outbox.delete(outgoing);
      throw error;
    }
  }

  #report(
    given: udp.UdpSendOptions,
    itemsOf: () => readonly DatagramItem<udp.UdpSendOptions>[],
  ): Promise<SendReport> {
    const connected = this.#isConnected || (given?.port === undefined && this.#findConnected());
    const check = (options: unknown): udpArguments.CheckedSendOptions =>
      udpArguments.checkSendOptions(options, this.#version, connected);
    const { signal, ...common } = check(given);
    let refused: string | undefined;
    const messages = itemsOf().map((item): Message => {
      const { data, ...own } = isUint8Array(item) ? { data: item } : item;
      const options = data === item ? common : check({ ...given, ...own, signal: undefined });
      const payloads = udpArguments.payloadsOf(data);
      const { segmentSize, address } = options;
      const bytes = bytesOf(payloads);
      udpArguments.checkSegments(bytes, segmentSize);
      const port = connected ? undefined : udpArguments.checkPort(options.port, 1);
      refused ??= ONLY_OURS.find((name) => options[name] !== undefined);
      return { payloads, bytes, segmentSize, port, address };
    });
    this.#checkRunning();
    if (refused !== undefined) {
      return Promise.reject(
        errors.unavailable(`Sends with the option '${refused}'`, this.#missing.why),
      );
    }
    return this.#sendReported(messages, signal);
  }

  #sendReported(messages: readonly Message[], signal?: AbortSignal): Promise<SendReport> {
    if (signal?.aborted === true) return Promise.reject(abortError(signal));
    const tracker = new SendTracker(messages.reduce((sum, { bytes }) => sum + bytes, 0));
    if (messages.length === 0) return Promise.resolve(tracker.report());
    tracker.copied(tracker.bytes, this.#missing.reason);
    const full = this.#outbox.refusal(tracker.bytes);
    if (full !== undefined) return Promise.reject(Object.assign(full, { sentDatagrams: 0 }));
    return new Promise((resolve, reject) => {
      const failures: Error[] = [];
      let left = messages.length;
      const onSettled = (error: Error | null): void => {
        if (error !== null) failures.push(error);
        if (--left > 0) return;
        signal?.removeEventListener('abort', onAbort);
        const sentDatagrams = messages.length - failures.length;
        if (failures[0] === undefined) resolve(tracker.report());
        else reject(Object.assign(failures[0], { sentDatagrams }));
      };
      const all = messages.map((message) => this.#outbox.add(message, onSettled));
      const onAbort = (): void => {
        const error = abortError(signal as AbortSignal);
        for (const outgoing of all) if (!outgoing.isHanded) this.#settle(outgoing, error);
      };
      for (const outgoing of all) this.#tryStart(outgoing);
      // Sends that dgram already has cannot be cancelled, and need no listener.
      if (all.some(({ isHanded }) => !isHanded)) signal?.addEventListener('abort', onAbort);
    });
  }

  /** Sends until uncork() form one datagram, which goes to the destination of the first. */
  cork(): void {
    this.#checkRunning();
    this.#corked ??= [];
  }

  uncork(): void {
    this.#checkRunning();
    const parts = (this.#corked ?? []).filter(({ isSettled }) => !isSettled);
    this.#corked = undefined;
    if (parts[0] === undefined) return;
    for (const part of parts) part.isHanded = true;
    const payloads = joinExcess(parts.flatMap(({ message }) => message.payloads));
    const message = { ...parts[0].message, payloads, bytes: bytesOf(payloads) };
    const onSettled: OnSettled = (error) => this.#settleLater(parts, error);
    this.#tryStart({ message, onSettled, isHanded: true, isSettled: false });
  }

  /** The destination changes: sends what is corked to the old one, which dgram could not do later. */
  #sendCorked(): void {
    if (this.#corked === undefined) return;
    this.uncork();
    this.cork();
  }

  // --- what dgram has not sent yet ----------------------------------------------------------------

  #tryStart(outgoing: Outgoing): void {
    try {
      this.#start(outgoing);
    } catch (error) {
      this.#settleLater([outgoing], error as Error);
    }
  }

  // Throws: as dgram's send() does.
  #start(outgoing: Outgoing): void {
    if (this.#corked !== undefined) return void this.#corked.push(outgoing);
    const { port, address, bytes } = outgoing.message;
    const datagrams = udpArguments.segmentsOf(outgoing.message);
    if (datagrams.length > 1) this.#source.counters.softwareSegments += datagrams.length;
    // Host name lookups could reorder datagrams, so send one after the other.
    const atATime = isIP(address ?? '') === 0 && address ? 1 : datagrams.length;
    let next = 0;
    let done = 0;
    let sent = 0;
    let failure: Error | null = null;
    const hand = (): void => {
      const datagram = datagrams[next++] as Payloads;
      if (port === undefined) super.send(datagram, callback);
      else super.send(datagram, port, address, callback);
    };
    const callback: SendCallback = (error, count) => {
      failure ??= error;
      if (error === null) sent += count;
      try {
        if (next < datagrams.length) hand();
      } catch (thrown) {
        failure ??= thrown as Error;
        done = datagrams.length;
      }
      if (++done < datagrams.length) return;
      // dgram sends nothing of a detached view, and only the byte count shows it.
      if (failure === null && sent !== bytes) failure = errors.bufferDetached();
      this.#settle(outgoing, failure);
    };
    this.#byCallback.set(callback, outgoing);
    outgoing.isHanded ||= this.#isListening;
    while (next < atATime) hand();
  }

  #settle(outgoing: Outgoing, error: Error | null): void {
    if (outgoing.isSettled) return;
    const { message, onSettled } = outgoing;
    if (this.#outbox.delete(outgoing) && error === null)
      this.#source.counters.copiedBytes += message.bytes;
    if (onSettled !== undefined) onSettled(error);
    else if (error !== null) this.#failUnheard(error);
  }

  // Each in its own tick, so that a callback that throws does not lose others.
  #settleLater(all: Iterable<Outgoing>, error: Error | null): void {
    for (const outgoing of all) nextTick(() => this.#settle(outgoing, error));
  }

  // As dgram: a failed lookup is the socket's 'error', a failed send without callback is not reported.
  #failUnheard(error: NodeJS.ErrnoException): void {
    const isSend = error.syscall === 'send' || error.code === 'ERR_IP_BLOCKED';
    if (!isSend && this.#isListening && this.#source.state !== 'closed') this.emit('error', error);
    else this.#source.counters.failedSends++;
  }

  #end(): void {
    this.#source.closed();
    for (const iterator of this.#iterators) iterator.end();
    const error = errors.notRunning();
    this.#settleLater(this.#corked ?? [], error);
    // libuv cancels its sends at the end of a turn; dgram forgets those that wait for a lookup.
    const settle = (): void => this.#settleLater(this.#outbox, error);
    if (this.#outbox.size > 0) setImmediate(() => setImmediate(settle));
  }

  // --- receiving ----------------------------------------------------------------------------------

  #arrives(data: Buffer, rinfo: udp.UdpRemoteInfo): boolean {
    const { receiveBlockList, gro } = this.#options;
    if (receiveBlockList?.check(rinfo.address, `ipv${this.#version}`) === true) return false;
    this.#source.counters.receivedDatagrams++;
    if (gro === 'whole') rinfo.segmentSize = rinfo.size;
    for (const iterator of this.#iterators) {
      // dgram cannot be made to wait.
      if (iterator.isFull) this.#source.counters.receiveDrops++;
      else iterator.push({ data, rinfo });
    }
    return true;
  }

  /** Datagrams as they arrive; ends when the socket closes. Drops what a slow loop has no room for. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Arrival<udp.UdpRemoteInfo>> {
    const iterator: DatagramIterator<Arrival<udp.UdpRemoteInfo>> = new DatagramIterator(
      this,
      () => undefined,
      (left) => this.#iterators.delete(left),
    );
    if (this.#source.state === 'closed') iterator.end();
    else this.#iterators.add(iterator);
    return iterator;
  }
}
