// Packet sockets: frames of one interface, below IP, and the transmit ring from which they go without a copy.
import { AsyncResource } from 'node:async_hooks';
import { constants } from 'node:os';
import { nextTick } from '../node/clock.js';
import type { NativeInterface } from '../native/binding.js';
import {
  bytesOf,
  checkItems,
  groupItems,
  messagePayloads,
  type Run,
} from '../datagram/arguments.js';
import { DatagramCore, requireReactor } from '../datagram/core.js';
import { type Arrival, PeerNames } from '../datagram/receive.js';
import { DatagramJob, SEND_CONTEXT, type JobGroup, type SendCallback } from '../datagram/job.js';
import { resolveDatagramOptions } from '../datagram/options.js';
import { optionsOf } from '../observe/options-object.js';
import { integer, checkSignal } from '../send/arguments.js';
import { DatagramSocket } from '../datagram/socket.js';
import { TxRingEngine } from '../datagram/tx-ring.js';
import {
  ETHERNET_HEADER_BYTES,
  findDevice,
  openRing,
  slotsOf,
  VLAN_TAG_BYTES,
} from '../datagram/ring.js';
import { PLAIN, type DatagramMetadata } from '../datagram/metadata.js';
import {
  invalidType,
  noRing,
  notPermitted,
  outOfRange,
  outOfRangeFound,
  systemError,
} from '../errors.js';
import { checkPacketOptions, type CheckedPacketOptions, SEND_NAMES } from './options.js';
import type {
  PacketInterface,
  PacketMessageListener,
  PacketRemoteInfo,
  PacketSendOptions,
  PacketSocketOptions,
  ZeroCopyPacketSocket,
} from './types.js';
import type { Reactor } from '../native/reactor.js';
import type { SendReport } from '../observe/report.js';
import {
  decodeLinkAddress,
  encodeLinkAddress,
  formatMac,
  macBytes,
  packetMembership,
  type LinkAddress,
} from '../native/sockaddr.js';
import { attachProgram } from '../datagram/socket-filter.js';
import {
  readVirtioHeader,
  VIRTIO_HEADER_BYTES,
  VirtioHeaders,
  behindTag,
  withTag,
} from './offload.js';

const { EMSGSIZE, EPERM } = constants.errno;
/** Largest frame that a device can segment. */
const MOST_OFFLOADED_BYTES = 65_535 + ETHERNET_HEADER_BYTES + VLAN_TAG_BYTES;

/** Frames with the same metadata, while they are gathered. */
export class PacketSocket extends DatagramSocket<PacketRemoteInfo> {
  #interface: PacketInterface;
  readonly #virtio: VirtioHeaders;
  protected readonly core: DatagramCore<PacketRemoteInfo>;
  readonly #checked: CheckedPacketOptions;
  readonly #peers: PeerNames<LinkAddress>;
  readonly #packetTypes: Record<number, PacketRemoteInfo['packetType']>;
  #ring: TxRingEngine | undefined;
  readonly #known = new Map<string, DatagramMetadata>();

  constructor(options: PacketSocketOptions, reactor: Reactor, onMessage?: PacketMessageListener) {
    super();
    const { native } = reactor;
    const { kernel } = native;
    this.#checked = checkPacketOptions(options);
    const resolved = resolveDatagramOptions(options);
    const device = findDevice(native, this.#checked.interface);
    this.#interface = describeInterface(device);
    this.#virtio = new VirtioHeaders(kernel);
    const engine = this.#checked.ring === undefined ? 'msg_zerocopy' : 'tx_ring';
    this.core = new DatagramCore(this, reactor, resolved, undefined, engine);
    this.#peers = new PeerNames(this.core.words, decodeLinkAddress);
    this.#packetTypes = {
      [kernel.PACKET_HOST]: 'host',
      [kernel.PACKET_BROADCAST]: 'broadcast',
      [kernel.PACKET_MULTICAST]: 'multicast',
      [kernel.PACKET_OTHERHOST]: 'otherhost',
      [kernel.PACKET_OUTGOING]: 'outgoing',
    };
    if (!this.core.isClosed) this.#open(device);
    this.on('newListener', (event) => {
      if (event === 'message') this.core.receiver.start();
    });
    if (typeof onMessage === 'function') this.on('message', onMessage);
    nextTick(() => {
      if (!this.core.isClosed) this.emit('listening');
    });
  }

  #open(device: NativeInterface): void {
    const { core } = this;
    const { kernel } = core.native;
    const type = this.#checked.type === 'raw' ? kernel.SOCK_RAW : kernel.SOCK_DGRAM;
    // Protocol 0: receives nothing until bind() names the interface.
    const port = core.native.openDatagram(kernel.AF_PACKET, type, 0);
    if (port === -EPERM) throw notPermitted('packet sockets');
    if (port < 0) throw systemError(port, 'socket');
    try {
      const ring = this.#configure(port, device);
      core.attach(port, undefined, ring);
      this.#ring = ring;
    } catch (error) {
      core.reactor.release(port);
      throw error;
    }
  }

  #configure(port: number, device: NativeInterface): TxRingEngine | undefined {
    const { native, options } = this.core;
    const { kernel } = native;
    const { virtioHeader, qdiscBypass, ignoreOutgoing, promiscuous, program, protocol } =
      this.#checked;
    const check = (result: number, syscall: string): void => {
      if (result < 0) throw systemError(result, syscall);
    };
    const set = (level: number, name: number, value: number | Uint8Array): void =>
      check(native.setOption(port, level, name, value), 'setsockopt');
    const { SOL_PACKET, SOL_SOCKET } = kernel;
    // Before the ring, because these cannot change while there is one.
    if (virtioHeader) set(SOL_PACKET, kernel.PACKET_VNET_HDR, 1);
    if (qdiscBypass) set(SOL_PACKET, kernel.PACKET_QDISC_BYPASS, 1);
    set(SOL_PACKET, kernel.PACKET_AUXDATA, 1);
    if (ignoreOutgoing) set(SOL_PACKET, kernel.PACKET_IGNORE_OUTGOING, 1);
    if (promiscuous) {
      const membership = packetMembership(device.index, kernel.PACKET_MR_PROMISC);
      set(SOL_PACKET, kernel.PACKET_ADD_MEMBERSHIP, membership);
    }
    if (program !== undefined) attachProgram(native, port, program);
    if (options.recvBufferSize > 0) set(SOL_SOCKET, kernel.SO_RCVBUF, options.recvBufferSize);
    if (options.sendBufferSize > 0) set(SOL_SOCKET, kernel.SO_SNDBUF, options.sendBufferSize);
    const ring = this.#openRing(port, device);
    const name = encodeLinkAddress(device.index, protocol, undefined, kernel);
    check(native.bind(port, name), 'bind');
    return ring;
  }

  #openRing(port: number, device: NativeInterface): TxRingEngine | undefined {
    const { ring, virtioHeader } = this.#checked;
    if (ring === undefined) return undefined;
    const { reactor, options, context } = this.core;
    const headroom = virtioHeader ? VIRTIO_HEADER_BYTES : 0;
    return new TxRingEngine(
      port,
      context,
      openRing(reactor, port, ring, options, device, headroom),
    );
  }

  get interface(): PacketInterface {
    return this.#interface;
  }

  // --- sending ------------------------------------------------------------------------------------

  send(frame: unknown, second?: unknown): Promise<SendReport> | undefined {
    if (typeof second === 'object' && second !== null) {
      const options = optionsOf(second, SEND_NAMES) as PacketSendOptions;
      const group = this.#group(frame, options);
      const { signal } = options;
      return this.core.report(this.core.zeroCopy.allHandedOver([group]), checkSignal(signal));
    }
    if (second !== undefined && typeof second !== 'function') {
      throw invalidType('callback', 'a function, or options', second);
    }
    const callback = second as SendCallback | undefined;
    const group = this.#group(frame, {});
    const { bytes, lengths, metadata, prefix } = group;
    const payloads = callback
      ? this.core.zeroCopy.handedOver(group.payloads, 'gathered')
      : group.payloads;
    const resource = callback === undefined ? undefined : new AsyncResource(SEND_CONTEXT);
    const tracker = undefined;
    this.core.submit({ payloads, bytes, lengths, metadata, prefix, callback, resource, tracker });
    return undefined;
  }

  sendMany(frames: unknown, given?: unknown): Promise<SendReport> {
    const common = optionsOf(given, SEND_NAMES) as PacketSendOptions;
    const signal = checkSignal(common.signal);
    const groups = groupItems<PacketSendOptions, JobGroup>(
      checkItems(frames),
      (frame, run) => this.#runFor(frame, run, common),
      ({ data, ...own }) => this.#group(data, { ...common, ...optionsOf(own, SEND_NAMES) }),
    );
    this.core.checkRunning();
    return this.core.report(this.core.zeroCopy.allHandedOver(groups), signal);
  }

  // Frames with the same virtio header.
  #runFor(
    frame: Uint8Array,
    run: (JobGroup & Run) | undefined,
    options: PacketSendOptions,
  ): JobGroup & Run {
    const prefix = this.#prefix(options, frame.length);
    if (run !== undefined && run.prefix === prefix) return run;
    return { payloads: [], bytes: 0, lengths: [], metadata: this.#metadata(options), prefix };
  }

  #group(frame: unknown, options: PacketSendOptions): JobGroup {
    const payloads = messagePayloads(frame);
    const bytes = bytesOf(payloads);
    const prefix = this.#prefix(options, bytes);
    const metadata = this.#metadata(options);
    this.core.checkRunning();
    return { payloads, bytes, lengths: undefined, metadata, prefix };
  }

  // Checks a frame's length and offload; returns its virtio header, if the socket uses them.
  #prefix(options: PacketSendOptions, bytes: number): Uint8Array | undefined {
    const { offload } = options;
    const { virtioHeader } = this.#checked;
    if (offload !== undefined && !virtioHeader) {
      throw outOfRangeFound(
        'options.offload',
        'absent unless the option virtioHeader is true',
        'an offload',
      );
    }
    this.#checkLength(bytes, offload !== undefined);
    return virtioHeader ? this.#virtio.of(offload, bytes) : undefined;
  }

  // The kernel's own check (net/packet/af_packet.c:packet_snd), before anything is sent.
  #checkLength(bytes: number, offloaded: boolean): void {
    const isRaw = this.#checked.type === 'raw';
    const header = isRaw ? ETHERNET_HEADER_BYTES : 0;
    if (isRaw && bytes < header) {
      throw outOfRange('frame.length', `>= ${header} (the Ethernet header)`, bytes);
    }
    const overhead = header + VLAN_TAG_BYTES;
    if (!offloaded && bytes > this.#interface.mtu + overhead) this.#lookAtInterface();
    const most = offloaded ? MOST_OFFLOADED_BYTES : this.#interface.mtu + overhead;
    const inRing = this.#ring?.views.longest ?? Infinity;
    if (bytes > most) {
      const error = systemError(-EMSGSIZE, 'send');
      error.message += `: the frame has ${bytes} bytes, and ${this.#interface.name} takes at most ${most}`;
      throw error;
    }
    if (bytes > inRing) throw outOfRange('frame.length', `<= ${inRing} (options.ring)`, bytes);
  }

  // The MTU may have changed since.
  #lookAtInterface(): void {
    const found = this.core.native.findInterface(this.#interface.index);
    if (typeof found !== 'number') this.#interface = describeInterface(found);
  }

  #metadata(options: PacketSendOptions): DatagramMetadata {
    const { address, protocol } = options;
    if (address !== undefined && this.#checked.type === 'raw') {
      throw outOfRange(
        'options.address',
        "absent with type 'raw': the frame has its own header",
        address,
      );
    }
    if (protocol !== undefined) integer('options.protocol', protocol, 0, 0xffff);
    if (this.#checked.type === 'raw' && protocol === undefined) return PLAIN;
    const key = `${protocol ?? ''} ${address ?? ''}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const mac = typeof address === 'string' ? macBytes(address) : undefined;
    if (mac === undefined && this.#checked.type === 'dgram') {
      if (typeof address === 'string') {
        throw outOfRange('options.address', 'a MAC address such as 02:00:00:00:00:01', address);
      }
      throw invalidType('options.address', 'of type string', address);
    }
    const ethertype = protocol ?? this.#checked.protocol;
    const { kernel } = this.core.native;
    const name = encodeLinkAddress(this.#interface.index, ethertype, mac, kernel);
    const metadata = Object.freeze({ ...PLAIN, name, address });
    this.#known.set(key, metadata);
    return metadata;
  }

  // --- the ring -----------------------------------------------------------------------------------

  get freeFrames(): number {
    return this.#ring?.freeFrames ?? 0;
  }

  #requireRing(): TxRingEngine {
    this.core.checkRunning();
    if (this.#ring === undefined) throw noRing();
    return this.#ring;
  }

  reserve(length: unknown): Buffer {
    const ring = this.#requireRing();
    return ring.reserve(integer('length', length, 1, ring.views.longest));
  }

  commit(frames: unknown, given?: unknown): Promise<SendReport> {
    const ring = this.#requireRing();
    const options = optionsOf(given, SEND_NAMES) as PacketSendOptions;
    const list = (Array.isArray(frames) ? frames : [frames]) as Buffer[];
    const slots = slotsOf(ring, list);
    const groups = groupItems<unknown, JobGroup & Run>(
      list,
      (frame, run) => this.#runFor(frame, run, options),
      () => {
        throw invalidType('frames', 'frames', frames);
      },
    );
    let next = 0;
    return this.core.reportJobs(groups, (shape) => {
      const job = new DatagramJob(shape);
      ring.commit(slots.slice(next, (next += job.count)), job);
      return job;
    });
  }

  discard(frame: unknown): void {
    const ring = this.#requireRing();
    for (const slot of slotsOf(ring, [frame])) ring.discard(slot);
  }

  async ready(): Promise<void> {
    await this.#requireRing().ready();
  }

  // --- receiving ----------------------------------------------------------------------------------

  override [Symbol.asyncIterator](): AsyncIterableIterator<Arrival<PacketRemoteInfo>> {
    if (!this.core.isClosed) this.core.receiver.start();
    return this.core.receiver.iterate();
  }

  /** @internal */
  describe(slot: number, add: (arrival: Arrival<PacketRemoteInfo>) => void): void {
    const { words } = this.core;
    const peer = this.#peers.of(slot);
    if (peer === undefined) return;
    const rinfo: PacketRemoteInfo = {
      interface: this.#interface.name,
      interfaceIndex: peer.interfaceIndex,
      protocol: peer.protocol,
      packetType: this.#packetTypes[peer.packetType] ?? 'host',
      address: peer.address,
      size: words.bytes(slot),
    };
    if (words.isTruncated(slot)) rinfo.truncated = true;
    const tag = words.vlan(slot);
    if (tag !== 0) rinfo.vlan = { tpid: tag >>> 16, tci: tag & 0xffff };
    const isPutBack = tag !== 0 && this.#checked.type === 'raw';
    let from = 0;
    if (this.#checked.virtioHeader) {
      from = VIRTIO_HEADER_BYTES;
      const offload = readVirtioHeader(words.view(slot, 0, from), this.core.native.kernel);
      if (offload !== undefined) rinfo.offload = isPutBack ? behindTag(offload) : offload;
      rinfo.size -= from;
    }
    const bare = words.message(slot, from, rinfo.size);
    const data = isPutBack ? withTag(bare, tag) : bare;
    rinfo.size = data.length;
    add({ data, rinfo });
  }
}

function describeInterface({ name, index, mtu, address }: NativeInterface): PacketInterface {
  return Object.freeze({ name, index, mtu, address: formatMac(address) });
}

/** As createPacketSocket(). */
export function openPacketSocket(
  options: PacketSocketOptions,
  onMessage?: PacketMessageListener,
): ZeroCopyPacketSocket {
  return new PacketSocket(
    options,
    requireReactor('Packet sockets'),
    onMessage,
  ) as ZeroCopyPacketSocket;
}
