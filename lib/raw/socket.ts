// Raw sockets: IP datagrams past the transport protocols, with or without their IP header.
import { AsyncResource } from 'node:async_hooks';
import { constants } from 'node:os';
import { nextTick } from '../node/clock.js';
import { addPacketInfo, type Arrival } from '../datagram/receive.js';
import { bytesOf, checkItems, groupItems, messagePayloads } from '../datagram/arguments.js';
import { findDevice, slotsOf } from '../datagram/ring.js';
import { requireReactor } from '../datagram/core.js';
import { IpSocket } from '../datagram/ip-socket.js';
import { SEND_CONTEXT, type JobGroup, type SendCallback } from '../datagram/job.js';
import { resolveDatagramOptions } from '../datagram/options.js';
import { optionsOf } from '../observe/options-object.js';
import { integer, checkText } from '../send/arguments.js';
import { type DatagramMetadata, Destinations, checkIpOptions } from '../datagram/metadata.js';
import {
  addressError,
  invalidType,
  nodeError,
  noInterface,
  noRing,
  notPermitted,
  outOfRange,
  systemError,
} from '../errors.js';
import type {
  RawCommitOptions,
  RawMessageListener,
  RawRemoteInfo,
  RawSendOptions,
  RawSocketOptions,
  ZeroCopyRawSocket,
} from './types.js';
import { checkRawOptions, type CheckedRawOptions, COMMIT_NAMES, SEND_NAMES } from './options.js';
import { RawRing } from './ring.js';
import type { Reactor } from '../native/reactor.js';
import type { SendReport } from '../observe/report.js';
import { attachProgram, encodeProgram, REJECT_ALL } from '../datagram/socket-filter.js';

const { EPERM } = constants.errno;

const IPV4_HEADER_BYTES = 20;
const IPV6_HEADER_BYTES = 40;

class RawSocket extends IpSocket<RawRemoteInfo> {
  readonly #checked: CheckedRawOptions;
  readonly #options: RawSocketOptions;
  readonly #destinations: Destinations;
  #ring: RawRing | undefined;
  #isBound = false;
  #isConnected = false;

  constructor(options: RawSocketOptions, reactor: Reactor, onMessage?: RawMessageListener) {
    const checked = checkRawOptions(options, reactor.native.kernel);
    const resolved = resolveDatagramOptions(options);
    const engine = checked.ring === undefined ? undefined : 'tx_ring';
    const isOff = engine === 'tx_ring' && resolved.zeroCopy.engine === 'copy';
    super(checked.version, resolved, reactor, isOff ? 'disabled' : undefined, engine);
    this.#checked = checked;
    this.#options = options;
    this.#destinations = new Destinations(checked.version, reactor.native);
    if (!this.core.isClosed) this.#open();
    this.on('newListener', (event) => {
      if (event === 'message') this.core.receiver.start();
    });
    if (typeof onMessage === 'function') this.on('message', onMessage);
  }

  #open(): void {
    const { core } = this;
    const { native } = core;
    const { kernel } = native;
    const { version, protocol } = this.#checked;
    const domain = version === 4 ? kernel.AF_INET : kernel.AF_INET6;
    const port = native.openDatagram(domain, kernel.SOCK_RAW, protocol);
    if (port === -EPERM) throw notPermitted('raw sockets');
    if (port < 0) throw systemError(port, 'socket');
    try {
      this.#ring = this.#openRing(port);
    } catch (error) {
      core.reactor.release(port);
      throw error;
    }
    core.attach(port, undefined, this.#ring);
    try {
      this.#configure(port);
    } catch (error) {
      core.close();
      throw error;
    }
  }

  #openRing(port: number): RawRing | undefined {
    const { version, ring } = this.#checked;
    if (ring === undefined) return undefined;
    const { interface: name } = this.#options;
    const device = name === undefined ? undefined : findDevice(this.core.native, name);
    return new RawRing(this.core, port, { version, ring, device });
  }

  #configure(port: number): void {
    const { core } = this;
    const { native } = core;
    const { kernel } = native;
    const { version, headerIncluded, checksumOffset, program, icmp } = this.#checked;
    const [level, info, tos, included] =
      version === 4
        ? [kernel.SOL_IP, kernel.IP_PKTINFO, kernel.IP_RECVTOS, kernel.IP_HDRINCL]
        : [kernel.SOL_IPV6, kernel.IPV6_RECVPKTINFO, kernel.IPV6_RECVTCLASS, kernel.IPV6_HDRINCL];
    const set = (at: number, name: number, value: number | Uint8Array): void =>
      core.setOption('setsockopt', at, name, value);
    this.#bindToDevice();
    if (headerIncluded) set(level, included, 1);
    if (checksumOffset !== undefined) set(level, kernel.IPV6_CHECKSUM, checksumOffset);
    if (icmp !== undefined && version === 4) set(kernel.SOL_RAW, kernel.ICMP_FILTER, icmp);
    if (icmp !== undefined && version === 6) {
      set(kernel.IPPROTO_ICMPV6, kernel.ICMPV6_FILTER, icmp);
    }
    this.#startFiltering(port, program);
    if (this.#options.packetInfo) set(level, info, 1);
    if (this.#options.receiveTos) set(level, tos, 1);
    const { recvBufferSize, sendBufferSize } = core.options;
    if (recvBufferSize > 0) core.bufferSize('recv', recvBufferSize);
    if (sendBufferSize > 0) core.bufferSize('send', sendBufferSize);
  }

  #bindToDevice(): void {
    const { interface: name } = this.#options;
    if (name === undefined) return;
    const { SOL_SOCKET, SO_BINDTODEVICE } = this.core.native.kernel;
    try {
      this.core.setOption('setsockopt', SOL_SOCKET, SO_BINDTODEVICE, Buffer.from(`${name}\0`));
    } catch (error) {
      const { code, errno = 0 } = error as NodeJS.ErrnoException;
      throw code === 'ENODEV' ? noInterface(errno, 'setsockopt', name) : error;
    }
  }

  // The kernel queues from socket(2) on but filters only from now on, so drop what came meanwhile.
  #startFiltering(port: number, program: Buffer | undefined): void {
    const { native } = this.core;
    const { interface: device, filter, checksumOffset } = this.#options;
    if (device === undefined && filter === undefined && checksumOffset === undefined) return;
    attachProgram(native, port, encodeProgram([REJECT_ALL]));
    const { words } = this.core;
    while (words.receive(port, words.receiveBatch) > 0);
    const { SOL_SOCKET, SO_DETACH_FILTER } = native.kernel;
    if (program !== undefined) attachProgram(native, port, program);
    else this.core.setOption('setsockopt', SOL_SOCKET, SO_DETACH_FILTER, 0);
  }

  // --- bind, connect ------------------------------------------------------------------------------

  bind(address?: unknown, callback?: unknown): this {
    this.core.checkRunning();
    if (this.#isBound) throw nodeError('ERR_SOCKET_ALREADY_BOUND', 'Socket is already bound');
    if (typeof address === 'function') [callback, address] = [address, undefined];
    const any = this.version === 4 ? '0.0.0.0' : '::';
    const ip = checkText('address', address) ?? any;
    const name = this.#encodeOrThrow(ip);
    this.#isBound = true;
    if (typeof callback === 'function') this.once('listening', callback as () => void);
    const failed = this.core.withPort((native, port) => native.bind(port, name));
    this.#ring?.renamed();
    nextTick(() => {
      if (this.core.isClosed) return;
      if (failed < 0) {
        this.#isBound = false;
        this.core.receiver.emitError(addressError(failed, 'bind', ip));
        return;
      }
      this.core.receiver.start();
      this.emit('listening');
    });
    return this;
  }

  connect(address: unknown, callback?: unknown): void {
    this.core.checkRunning();
    if (this.#isConnected) throw nodeError('ERR_SOCKET_DGRAM_IS_CONNECTED', 'Already connected');
    if (typeof address !== 'string') throw invalidType('address', 'of type string', address);
    const name = this.#encodeOrThrow(address);
    const failed = this.core.withPort((native, port) => native.connect(port, name));
    this.#ring?.renamed(failed < 0 ? undefined : name);
    const error = failed < 0 ? addressError(failed, 'connect', address) : undefined;
    this.#isConnected = error === undefined;
    nextTick(() => {
      if (this.core.isClosed) return;
      if (typeof callback === 'function') {
        if (error !== undefined) return void (callback as (error: Error) => void)(error);
        this.once('connect', callback as () => void);
      }
      if (error === undefined) this.emit('connect');
      else this.core.receiver.emitError(error);
    });
  }

  disconnect(): void {
    if (!this.#isConnected) throw nodeError('ERR_SOCKET_DGRAM_NOT_CONNECTED', 'Not connected');
    this.dissolve();
    this.#ring?.renamed();
    this.#isConnected = false;
  }

  #encodeOrThrow(address: string): Buffer {
    const encoded = this.encode(address, 0);
    if (encoded !== undefined) return encoded;
    throw outOfRange('address', `an IPv${this.version} address`, address);
  }

  // --- sending ------------------------------------------------------------------------------------

  send(message: unknown, second?: unknown, third?: unknown): Promise<SendReport> | undefined {
    if (typeof second === 'object' && second !== null) {
      const options = optionsOf(second, SEND_NAMES) as RawSendOptions;
      const group = this.#group(message, options);
      const { signal } = checkIpOptions(options, this.version);
      return this.core.report(this.core.zeroCopy.allHandedOver([group]), signal);
    }
    const address = typeof second === 'function' ? undefined : checkText('address', second);
    const callback = (typeof second === 'function' ? second : third) as SendCallback | undefined;
    if (callback !== undefined && typeof callback !== 'function') {
      throw invalidType('callback', 'a function', callback);
    }
    const group = this.#group(message, address === undefined ? {} : { address });
    const resource = callback === undefined ? undefined : new AsyncResource(SEND_CONTEXT);
    const { bytes, lengths, metadata } = group;
    const payloads = callback
      ? this.core.zeroCopy.handedOver(group.payloads, 'gathered')
      : group.payloads;
    const prefix = undefined;
    const tracker = undefined;
    this.core.submit({ payloads, bytes, lengths, metadata, prefix, callback, resource, tracker });
    return undefined;
  }

  sendMany(datagrams: unknown, given?: unknown): Promise<SendReport> {
    const common = optionsOf(given, SEND_NAMES) as RawSendOptions;
    const { signal } = checkIpOptions(common, this.version);
    const groups = groupItems<RawSendOptions, JobGroup>(
      checkItems(datagrams),
      (item, run) => {
        this.#checkLength(item.length);
        return run ?? { payloads: [], bytes: 0, lengths: [], metadata: this.#metadata(common) };
      },
      ({ data, ...own }) => this.#group(data, { ...common, ...optionsOf(own, SEND_NAMES) }),
    );
    this.core.checkRunning();
    return this.core.report(this.core.zeroCopy.allHandedOver(groups), signal);
  }

  #group(message: unknown, options: RawSendOptions): JobGroup {
    const payloads = messagePayloads(message);
    const bytes = bytesOf(payloads);
    this.#checkLength(bytes);
    const metadata = this.#metadata(options);
    this.core.checkRunning();
    return { payloads, bytes, lengths: undefined, metadata, prefix: undefined };
  }

  #checkLength(bytes: number): void {
    if (!this.#checked.headerIncluded) return;
    const least = this.version === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
    if (bytes < least) {
      throw outOfRange('message.length', `>= ${least} (the IP header) with headerIncluded`, bytes);
    }
  }

  #metadata(options: RawSendOptions): DatagramMetadata {
    const extras = { segmentSize: 0, ...checkIpOptions(options, this.version) };
    const address = checkText('options.address', options.address);
    if (this.#isConnected) {
      if (address !== undefined) {
        throw nodeError('ERR_SOCKET_DGRAM_IS_CONNECTED', 'Already connected');
      }
      return this.#destinations.with(this.#destinations.connected(), extras);
    }
    if (address === undefined) throw invalidType('address', 'of type string', address);
    const metadata = this.#destinations.to(address, address, 0);
    if (metadata === undefined) this.#encodeOrThrow(address);
    return this.#destinations.with(metadata as DatagramMetadata, extras);
  }

  // --- the ring -----------------------------------------------------------------------------------

  get freeFrames(): number {
    return this.#ring?.ring.freeFrames ?? 0;
  }

  #requireRing(): RawRing {
    this.core.checkRunning();
    if (this.#ring === undefined) throw noRing();
    return this.#ring;
  }

  reserve(length: unknown): Buffer {
    const { ring } = this.#requireRing();
    return ring.reserve(integer('length', length, 1, ring.views.longest));
  }

  commit(frames: unknown, given?: unknown): Promise<SendReport> {
    const ring = this.#requireRing();
    const { address } = optionsOf(given, COMMIT_NAMES) as RawCommitOptions;
    const payloads = (Array.isArray(frames) ? [...frames] : [frames]) as Buffer[];
    const slots = slotsOf(ring.ring, payloads);
    const lengths = new Array<number>(payloads.length);
    let bytes = 0;
    for (let i = 0; i < payloads.length; i++) {
      const { length } = payloads[i] as Buffer;
      this.#checkLength(length);
      lengths[i] = length;
      bytes += length;
    }
    const metadata = this.#commitTo(address);
    return ring.commit(slots, { payloads, bytes, lengths, metadata, prefix: undefined });
  }

  // Nearly always the destination of the last packet.
  #commitTo(address: string | undefined): DatagramMetadata {
    const last = this.#isConnected ? undefined : this.#destinations.last(address, 0);
    return last ?? this.#metadata(address === undefined ? {} : { address });
  }

  discard(frame: unknown): void {
    const { ring } = this.#requireRing();
    for (const slot of slotsOf(ring, [frame])) ring.discard(slot);
  }

  async ready(): Promise<void> {
    await this.#requireRing().ring.ready();
  }

  // --- receiving, names, options ------------------------------------------------------------------

  override [Symbol.asyncIterator](): AsyncIterableIterator<Arrival<RawRemoteInfo>> {
    if (!this.core.isClosed) this.core.receiver.start();
    return this.core.receiver.iterate();
  }

  /** @internal */
  describe(slot: number, add: (arrival: Arrival<RawRemoteInfo>) => void): void {
    const { words } = this.core;
    const peer = this.peerOf(slot);
    if (peer === undefined) return;
    const rinfo: RawRemoteInfo = {
      address: peer.address,
      family: peer.family,
      size: words.bytes(slot),
    };
    addPacketInfo(rinfo, words, slot, this.#options);
    add({ data: words.message(slot, 0, rinfo.size), rinfo });
  }

  address(): { address: string; family: string } {
    const { address, family } = this.nameOf('getsockname', (native, port) =>
      native.localName(port),
    );
    return { address, family };
  }

  setTTL(ttl: unknown): number {
    const hops = integer('ttl', ttl, 1, 255);
    const { IP_TTL, IPV6_UNICAST_HOPS } = this.core.native.kernel;
    this.setByVersion('setTTL', IP_TTL, IPV6_UNICAST_HOPS, hops);
    return hops;
  }
}

/** As createRawSocket(). */
export function openRawSocket(
  options: RawSocketOptions,
  onMessage?: RawMessageListener,
): ZeroCopyRawSocket {
  return new RawSocket(options, requireReactor('Raw sockets'), onMessage) as ZeroCopyRawSocket;
}
