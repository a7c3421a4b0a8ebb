// The transmit ring of a raw socket: packets that were written in it leave through a packet socket on the
// device of their route, past the kernel's IP layer and without a copy. Where that is not possible, the raw
// socket sends and copies them.
import { randomInt } from 'node:crypto';
import { constants } from 'node:os';
import type { DatagramCore } from '../datagram/core.js';
import { DatagramEngine } from '../datagram/engine.js';
import type { DatagramJob, JobGroup } from '../datagram/job.js';
import { openRing, type PacketRingOptions } from '../datagram/ring.js';
import type { DatagramSender, SenderContext } from '../datagram/sender.js';
import { TxRingEngine } from '../datagram/tx-ring.js';
import { notPermitted, systemError } from '../errors.js';
import type { Reason } from '../names.js';
import type { SendReport } from '../observe/report.js';
import { limitRate } from '../send/pacing.js';
import { completeIpv4, Identifications, isIpv6To, type PacketMemory } from './header.js';
import { type NextHop, NextHops } from './next-hops.js';

const { EPERM } = constants.errno;

/** The MTU of Ethernet, for a socket whose device is not known in advance. */
const USUAL_MTU = 1500;

type AnyCore = Pick<
  DatagramCore<never>,
  'native' | 'reactor' | 'options' | 'context' | 'reportJob'
>;

interface RawRingOptions {
  readonly version: 4 | 6;
  readonly ring: PacketRingOptions;
  /** The only interface that is used. */
  readonly device: { readonly index: number; readonly mtu: number } | undefined;
}

/** The engines of a raw socket with a ring: packets that were not reserved in the ring go through the raw socket. */
export class RawRing implements DatagramSender {
  /** The engine of the packet socket. */
  readonly ring: TxRingEngine;
  readonly #core: AnyCore;
  readonly #version: 4 | 6;
  readonly #memory: PacketMemory;
  readonly #copying: DatagramEngine;
  readonly #hops: NextHops;
  readonly #identifications = new Identifications(randomInt(0x10000));
  #open = 2;

  /** @param port the raw socket. Throws: EPERM without CAP_NET_RAW, system errors. */
  constructor(core: AnyCore, port: number, { version, ring, device }: RawRingOptions) {
    const { reactor, context } = core;
    this.#core = core;
    this.#version = version;
    this.#hops = new NextHops(reactor, port, version, device?.index ?? 0, () =>
      this.ring.handOver(),
    );
    try {
      const own = { ...context, receive: () => undefined, finished: () => this.#finished() };
      this.ring = this.#openRing(own, ring, device?.mtu ?? USUAL_MTU);
    } catch (error) {
      this.#hops.close();
      throw error;
    }
    const bytes = this.ring.views.memory;
    this.#memory = { bytes, words: new Uint16Array(bytes.buffer, 0, bytes.length >>> 1) };
    const finished = (): void => this.#finished();
    this.#copying = new DatagramEngine(port, { ...context, finished });
  }

  #openRing(context: SenderContext, ring: PacketRingOptions, mtu: number): TxRingEngine {
    const { native, reactor, options } = this.#core;
    const { AF_PACKET, SOCK_DGRAM } = native.kernel;
    // Bound to no device, and to no protocol: it receives nothing, and each frame's name says where it goes.
    const port = native.openDatagram(AF_PACKET, SOCK_DGRAM, 0);
    if (port === -EPERM) throw notPermitted('packet sockets');
    if (port < 0) throw systemError(port, 'socket');
    try {
      const { sendBufferSize, zeroCopy } = options;
      const { maxPacingRate } = zeroCopy;
      const { SOL_SOCKET, SO_SNDBUF } = native.kernel;
      if (sendBufferSize > 0) native.setOption(port, SOL_SOCKET, SO_SNDBUF, sendBufferSize);
      if (maxPacingRate !== undefined) {
        limitRate(() => native.setPortPacingRate(port, maxPacingRate));
      }
      return new TxRingEngine(port, context, openRing(reactor, port, ring, options, { mtu }, 0));
    } catch (error) {
      reactor.release(port);
      throw error;
    }
  }

  // --- packets in the ring ------------------------------------------------------------------------

  /** Sends the packets in `slots`, which are the payloads of `group`. */
  commit(slots: readonly number[], group: JobGroup): Promise<SendReport> {
    const { zeroCopy } = this.#core.context;
    const hop = this.#hops.to(group.metadata);
    const reason = zeroCopy.refused ?? this.#obstacle(hop, slots, group);
    if (zeroCopy.refused === undefined) zeroCopy.detoured(reason);
    if (reason !== undefined) return this.#copy(slots, group, reason);
    const { payloads, bytes, lengths } = group;
    const { metadata } = hop;
    const leaving = { payloads, bytes, lengths, metadata, prefix: undefined };
    return this.#core.reportJob(leaving, (job) => this.ring.commit(slots, job));
  }

  // Why the raw socket has to send the packets. Completes their headers as the raw socket would.
  #obstacle(
    hop: NextHop,
    slots: readonly number[],
    { payloads, metadata }: JobGroup,
  ): Reason | undefined {
    if (hop.reason !== undefined) return hop.reason;
    const { source, tos, interfaceIndex } = metadata;
    if (source !== undefined || tos !== undefined || interfaceIndex !== 0) return 'kernel-route';
    if (hop.isUnconfirmed) {
      hop.isUnconfirmed = false;
      return 'no-neighbour';
    }
    for (let i = 0; i < slots.length; i++) {
      const { length } = payloads[i] as Uint8Array;
      if (length > hop.mtu) return 'path-mtu';
      if (!this.#complete(slots[i] as number, length, hop)) return 'kernel-route';
    }
    return undefined;
  }

  #complete(slot: number, length: number, hop: NextHop): boolean {
    const at = this.ring.views.startOf(slot);
    return this.#version === 4
      ? completeIpv4(this.#memory, at, length, hop, this.#identifications)
      : isIpv6To(this.#memory, at, hop.destination);
  }

  // Sends them from their slots, and now, so that the next commit does not overtake them. The slots are free when the
  // kernel has copied them, which a full send buffer delays.
  #copy(slots: readonly number[], group: JobGroup, reason: Reason): Promise<SendReport> {
    this.ring.handOver();
    for (const slot of slots) this.ring.lend(slot);
    const reported = this.#core.reportJob(group, (job) => {
      job.copyNext = reason;
      this.#copying.submit(job);
      this.#copying.flush();
    });
    const giveBack = (): void => slots.forEach((slot) => this.ring.discard(slot));
    if (this.#copying.queuedJobs > 0) return reported.finally(giveBack);
    giveBack();
    return reported;
  }

  /** The socket was bound, connected to `peer`, or disconnected. */
  renamed(peer?: Uint8Array): void {
    this.#hops.renamed(peer);
  }

  // --- DatagramSender -----------------------------------------------------------------------------

  get port(): number {
    return this.#copying.port;
  }
  get queuedBytes(): number {
    return this.#copying.queuedBytes;
  }
  get queuedJobs(): number {
    return this.#copying.queuedJobs;
  }
  get pendingBytes(): number {
    return this.ring.pendingBytes;
  }
  get pendingSends(): number {
    return this.ring.pendingSends;
  }

  submit(job: DatagramJob): void {
    // Packets that were committed earlier go first.
    this.ring.handOver();
    this.#copying.submit(job);
  }

  flush(): void {
    this.#copying.flush();
    this.ring.flush();
  }

  cancel(job: DatagramJob, error: Error): boolean {
    return this.#copying.cancel(job, error);
  }

  whenReleased(callback: () => void): void {
    let left = 2;
    const one = (): void => {
      if (--left === 0) callback();
    };
    this.#copying.whenReleased(one);
    this.ring.whenReleased(one);
  }

  close(): void {
    this.#copying.close();
    this.ring.close();
  }

  #finished(): void {
    if (--this.#open > 0) return;
    this.#hops.close();
    this.#core.context.finished();
  }
}
