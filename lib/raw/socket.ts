// Raw sockets: IP datagrams past the transport protocols, with or without their IP header.
import { constants } from 'node:os';
import { isUint8Array } from 'node:util/types';
import { nextTick } from '../node/clock.js';
import { addPacketInfo, type Arrival, PeerNames } from '../datagram/receive.js';
import type { KernelConstants } from '../native/binding-constants.js';
import { bytesOf, checkItems, messagePayloads, type DatagramItem } from '../datagram/arguments.js';
import { DatagramCore, interfaceNames } from '../datagram/core.js';
import { sendContext, type JobGroup, type SendCallback } from '../datagram/job.js';
import { flag, integer, resolveDatagramOptions } from '../datagram/options.js';
import { DatagramSocket, optionsObject } from '../datagram/socket.js';
import type { Envelope } from '../datagram/metadata.js';
import {
  addressError,
  invalidType,
  nodeError,
  notPermitted,
  outOfRange,
  systemError,
} from '../errors.js';
import { IpEnvelopes } from '../datagram/ip-metadata.js';
import { checkIpOptions, checkText } from '../datagram/ip-options.js';
import type {
  RawMessageListener,
  RawRemoteInfo,
  RawSendOptions,
  RawSocketOptions,
} from './types.js';
import type { Reactor } from '../native/reactor.js';
import type { SendReport } from '../observe/report.js';
import {
  decodeAddress,
  encodeAddress,
  type InterfaceNames,
  type SocketAddress,
} from '../native/sockaddr.js';
import { attachProgram, encodeProgram, icmpMask, REJECT_ALL } from '../datagram/socket-filter.js';

const { EPERM } = constants.errno;

const IPV4_HEADER_BYTES = 20;
const IPV6_HEADER_BYTES = 40;

/** Options, checked before a descriptor is opened. */
interface Checked {
  readonly version: 4 | 6;
  readonly protocol: number;
  readonly headerIncluded: boolean;
  readonly checksumOffset: number | undefined;
  readonly program: Buffer | undefined;
  readonly icmp: Buffer | undefined;
}

function protocolNumber(value: unknown, kernel: KernelConstants): number {
  const named: Record<string, number> = {
    icmp: kernel.IPPROTO_ICMP,
    icmpv6: kernel.IPPROTO_ICMPV6,
    tcp: kernel.IPPROTO_TCP,
    udp: kernel.IPPROTO_UDP,
    raw: kernel.IPPROTO_RAW,
  };
  if (typeof value !== 'string') return integer('options.protocol', value, 0, 255);
  const number = named[value];
  if (number !== undefined) return number;
  const names = Object.keys(named).join(', ');
  throw outOfRange('options.protocol', `a number or one of ${names}`, value);
}

function check(given: unknown, kernel: KernelConstants): Checked {
  const options = optionsObject(given) as RawSocketOptions;
  const { family, checksumOffset, filter } = options;
  if (typeof family !== 'number') throw invalidType('options.family', 'a number', family);
  if (family !== 4 && family !== 6) throw outOfRange('options.family', '4 or 6', family);
  const headerIncluded = flag('options.headerIncluded', options.headerIncluded);
  if (checksumOffset !== undefined) {
    integer('options.checksumOffset', checksumOffset, 0, 65_534);
    if (family !== 6 || headerIncluded || checksumOffset % 2 !== 0) {
      const valid = 'even, for family 6, and without headerIncluded';
      throw outOfRange('options.checksumOffset', valid, checksumOffset);
    }
  }
  if (filter !== undefined) optionsObject(filter, 'options.filter');
  checkText('options.interface', options.interface);
  flag('options.packetInfo', options.packetInfo);
  flag('options.receiveTos', options.receiveTos);
  return {
    version: family,
    protocol: protocolNumber(options.protocol, kernel),
    headerIncluded,
    checksumOffset,
    program: filter?.program === undefined ? undefined : encodeProgram(filter.program),
    icmp: filter?.icmpTypes === undefined ? undefined : icmpMask(filter.icmpTypes, family),
  };
}

export class RawSocket extends DatagramSocket<RawRemoteInfo> {
  protected readonly core: DatagramCore<RawRemoteInfo>;
  readonly #checked: Checked;
  readonly #options: RawSocketOptions;
  readonly #envelopes: IpEnvelopes;
  readonly #names: InterfaceNames;
  readonly #peers: PeerNames<SocketAddress>;
  #isBound = false;
  #isConnected = false;

  constructor(options: RawSocketOptions, reactor: Reactor, onMessage?: RawMessageListener) {
    super();
    const { native } = reactor;
    this.#checked = check(options, native.kernel);
    this.#options = options;
    this.core = new DatagramCore(this, reactor, resolveDatagramOptions('raw', options), undefined);
    this.#envelopes = new IpEnvelopes(this.#checked.version, native);
    this.#names = interfaceNames(native);
    this.#peers = new PeerNames(this.core.words, (name) =>
      decodeAddress(name, native.kernel, this.#names),
    );
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
    core.attach(port);
    try {
      this.#configure(port);
    } catch (error) {
      core.close();
      throw error;
    }
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
    if (this.#options.interface !== undefined) {
      const name = Buffer.from(`${this.#options.interface}\0`);
      set(kernel.SOL_SOCKET, kernel.SO_BINDTODEVICE, name);
    }
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

  // The kernel queues from socket(2) on, and filters only from now on: what came meanwhile goes.
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
    const any = this.#checked.version === 4 ? '0.0.0.0' : '::';
    const ip = checkText('address', address) ?? any;
    const name = this.#encode('address', ip);
    this.#isBound = true;
    if (typeof callback === 'function') this.once('listening', callback as () => void);
    const failed = this.core.withPort((native, port) => native.bind(port, name));
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
    const name = this.#encode('address', address);
    const failed = this.core.withPort((native, port) => native.connect(port, name));
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
    this.core.engine.flush();
    // AF_UNSPEC is 0.
    const failed = this.core.withPort((native, port) => native.connect(port, Buffer.alloc(16)));
    if (failed < 0) throw systemError(failed, 'connect');
    this.#isConnected = false;
  }

  #encode(name: string, address: string): Buffer {
    const { version } = this.#checked;
    const encoded = encodeAddress(address, 0, version, this.core.native.kernel, this.#names);
    if (encoded !== undefined) return encoded;
    throw outOfRange(name, `an IPv${version} address`, address);
  }

  // --- sending ------------------------------------------------------------------------------------

  send(message: unknown, second?: unknown, third?: unknown): Promise<SendReport> | undefined {
    if (typeof second === 'object' && second !== null) {
      const options = second as RawSendOptions;
      const group = this.#group(message, options);
      const { signal } = checkIpOptions(options, this.#checked.version);
      return this.core.report(this.core.zeroCopy.allHandedOver([group]), signal);
    }
    const address = typeof second === 'function' ? undefined : checkText('address', second);
    const callback = (typeof second === 'function' ? second : third) as SendCallback | undefined;
    if (callback !== undefined && typeof callback !== 'function') {
      throw invalidType('callback', 'a function', callback);
    }
    const group = this.#group(message, address === undefined ? {} : { address });
    const resource = callback === undefined ? undefined : sendContext();
    const { bytes, lengths, envelope } = group;
    const payloads = callback
      ? this.core.zeroCopy.handedOver(group.payloads, 'gathered')
      : group.payloads;
    const prefix = undefined;
    const tracker = undefined;
    this.core.submit({ payloads, bytes, lengths, envelope, prefix, callback, resource, tracker });
    return undefined;
  }

  sendMany(datagrams: unknown, given: unknown = {}): Promise<SendReport> {
    const common = optionsObject(given) as RawSendOptions;
    const { signal } = checkIpOptions(common, this.#checked.version);
    const groups: JobGroup[] = [];
    let run:
      { payloads: Uint8Array[]; bytes: number; lengths: number[]; envelope: Envelope } | undefined;
    for (const item of checkItems<RawSendOptions>(datagrams) as DatagramItem<RawSendOptions>[]) {
      if (!isUint8Array(item)) {
        run = undefined;
        const { data, ...own } = item;
        groups.push(this.#group(data, { ...common, ...own }));
        continue;
      }
      this.#checkLength(item.length);
      if (run === undefined) {
        run = { payloads: [], bytes: 0, lengths: [], envelope: this.#envelope(common) };
        groups.push(run);
      }
      run.payloads.push(item);
      run.bytes += item.length;
      run.lengths.push(item.length);
    }
    this.core.checkRunning();
    return this.core.report(this.core.zeroCopy.allHandedOver(groups), signal);
  }

  #group(message: unknown, options: RawSendOptions): JobGroup {
    const payloads = messagePayloads(message);
    const bytes = bytesOf(payloads);
    this.#checkLength(bytes);
    const envelope = this.#envelope(options);
    this.core.checkRunning();
    return { payloads, bytes, lengths: undefined, envelope, prefix: undefined };
  }

  #checkLength(bytes: number): void {
    if (!this.#checked.headerIncluded) return;
    const least = this.#checked.version === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
    if (bytes < least) {
      throw outOfRange('message.length', `>= ${least}, the IP header, with headerIncluded`, bytes);
    }
  }

  #envelope(options: RawSendOptions): Envelope {
    const extras = { segmentSize: 0, ...checkIpOptions(options, this.#checked.version) };
    const address = checkText('options.address', options.address);
    if (this.#isConnected) {
      if (address !== undefined) {
        throw nodeError('ERR_SOCKET_DGRAM_IS_CONNECTED', 'Already connected');
      }
      return this.#envelopes.with(this.#envelopes.connected(), extras);
    }
    if (address === undefined) throw invalidType('address', 'of type string', address);
    const envelope = this.#envelopes.to(address, address, 0);
    if (envelope === undefined) this.#encode('address', address);
    return this.#envelopes.with(envelope as Envelope, extras);
  }

  // --- receiving, names, options ------------------------------------------------------------------

  override [Symbol.asyncIterator](): AsyncIterableIterator<Arrival<RawRemoteInfo>> {
    if (!this.core.isClosed) this.core.receiver.start();
    return this.core.receiver.iterate();
  }

  /** @internal */
  describe(slot: number, add: (arrival: Arrival<RawRemoteInfo>) => void): void {
    const { words } = this.core;
    const peer = this.#peers.of(slot);
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
    this.core.checkRunning();
    const name = this.core.withPort((native, port) => native.localName(port));
    if (typeof name === 'number') throw systemError(name, 'getsockname');
    const decoded = decodeAddress(name, this.core.native.kernel, this.#names);
    return { address: decoded?.address ?? '', family: decoded?.family ?? '' };
  }

  setTTL(ttl: unknown): number {
    const hops = integer('ttl', ttl, 1, 255);
    const { SOL_IP, SOL_IPV6, IP_TTL, IPV6_UNICAST_HOPS } = this.core.native.kernel;
    if (this.#checked.version === 4) this.core.setOption('setTTL', SOL_IP, IP_TTL, hops);
    else this.core.setOption('setTTL', SOL_IPV6, IPV6_UNICAST_HOPS, hops);
    return hops;
  }

  setBroadcast(on: unknown): void {
    const { SOL_SOCKET, SO_BROADCAST } = this.core.native.kernel;
    this.core.setOption('setBroadcast', SOL_SOCKET, SO_BROADCAST, on ? 1 : 0);
  }
}
