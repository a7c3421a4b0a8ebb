// UDP sockets: node:dgram's surface and semantics on a descriptor of this package's own, which libuv
// never sees: it would read the error queue itself (libuv 1.52, src/unix/udp.c:uv__udp_io).
import { channel } from 'node:diagnostics_channel';
import dns from 'node:dns';
import { isIP } from 'node:net';
import { constants } from 'node:os';
import { nextTick } from '../node/clock.js';
import { addPacketInfo, type Arrival } from '../datagram/receive.js';
import { resolveDatagramOptions } from '../datagram/options.js';
import { addressError, invalidType, ipBlocked, nodeError, systemError } from '../errors.js';
import { bindErrorEvent } from '../node/internals.js';
import type { Reactor } from '../native/reactor.js';
import type { SendReport } from '../observe/report.js';
import { checkBlockList, checkOwnOptions, checkPort, invalidDescriptor } from './arguments.js';
import { UdpSettings } from './settings.js';
import { UdpSender, type UdpRouting } from './sender.js';
import type { UdpMessageListener, UdpRemoteInfo, UdpSocketOptions } from './types.js';

const { EINVAL } = constants.errno;

/** node:dgram's own diagnostics channel. */
const created = channel('udp.socket');

/** With UDP_GRO a message may have 64 KiB, so a batch has fewer of them. */
const GRO_BATCH = 16;

type BindState = 'unbound' | 'binding' | 'bound';
type ConnectState = 'disconnected' | 'connecting' | 'connected';
type Lookup = NonNullable<UdpSocketOptions['lookup']>;

export class UdpSocket extends UdpSettings implements UdpRouting {
  readonly type: 'udp4' | 'udp6';
  readonly #options: UdpSocketOptions;
  readonly #lookup: Lookup | undefined;
  readonly #sender: UdpSender;
  #bindState: BindState = 'unbound';
  #connectState: ConnectState = 'disconnected';
  /** Calls that wait for bind(). */
  #afterBind: { run: () => void; failed: (error: Error) => void }[] = [];
  /** addMembership() bound an unbound socket. */
  #boundByMembership = false;

  constructor(options: UdpSocketOptions, reactor: Reactor, onMessage?: UdpMessageListener) {
    checkFlags(options);
    const version = options.type === 'udp4' ? 4 : 6;
    super(version, resolveDatagramOptions(options), reactor);
    this.type = options.type;
    this.#options = options;
    this.#lookup = options.lookup;
    this.#sender = new UdpSender(this.core, version, this, options);
    if (typeof onMessage === 'function') this.on('message', onMessage);
    if (created.hasSubscribers) created.publish({ socket: this });
  }

  // --- bind, connect ------------------------------------------------------------------------------

  bind(port?: unknown, address?: unknown, ...rest: unknown[]): this {
    this.core.checkRunning();
    if (this.#bindState !== 'unbound') {
      throw nodeError('ERR_SOCKET_ALREADY_BOUND', 'Socket is already bound');
    }
    const callback = rest.at(-1) ?? address ?? port;
    const wanted = (typeof port === 'object' && port !== null ? port : { port, address }) as {
      port?: unknown;
      address?: unknown;
      fd?: unknown;
    };
    const given = typeof wanted.port === 'function' ? undefined : wanted.port;
    const number = given ? checkPort(given, 0) : 0;
    const host = typeof wanted.address === 'function' ? '' : wanted.address || '';
    if (typeof host !== 'string') throw invalidType('hostname', 'of type string', host);
    if (typeof callback === 'function') this.#onListening(callback as () => void);
    this.#bindState = 'binding';
    if (Number.isInteger(wanted.fd) && (wanted.fd as number) > 0) {
      this.#open(wanted.fd as number);
      this.#startListening();
      return this;
    }
    this.#resolveLater(host || (this.version === 4 ? '0.0.0.0' : '::'), (error, ip) => {
      if (!this.core.isClosed) this.#bindTo(error, ip, number);
    });
    return this;
  }

  #onListening(callback: () => void): void {
    const remove = (): void => {
      this.off(bindErrorEvent, remove);
      this.off('listening', onListening);
    };
    const onListening = (): void => {
      remove();
      callback.call(this);
    };
    this.on(bindErrorEvent, remove);
    this.on('listening', onListening);
  }

  #bindTo(lookupError: Error | null, ip: string, port: number): void {
    let error = lookupError;
    if (error === null && !(this.#boundByMembership && port === 0)) {
      const failed = this.#bindDescriptor(ip, port);
      if (failed < 0) error = addressError(failed, 'bind', ip, port);
    }
    if (error === null) return this.#startListening();
    this.#bindState = 'unbound';
    const waiting = this.#afterBind.splice(0);
    this.core.receiver.emitError(error);
    for (const { failed } of waiting) failed(error);
  }

  #bindDescriptor(ip: string, port: number): number {
    const name = this.encode(ip, port);
    if (name === undefined) return -EINVAL;
    try {
      if (!this.core.isAttached) this.#open();
    } catch (error) {
      return (error as NodeJS.ErrnoException).errno ?? -EINVAL;
    }
    return this.core.withPort((native, bound) => native.bind(bound, name));
  }

  // Opens the descriptor, or takes one over. Throws: a system error.
  #open(fd?: number): void {
    const { core } = this;
    const { native } = core;
    const { kernel } = native;
    const domain = this.version === 4 ? kernel.AF_INET : kernel.AF_INET6;
    const port =
      fd === undefined
        ? native.openDatagram(domain, kernel.SOCK_DGRAM, 0)
        : native.adoptDatagram(fd);
    if (port < 0) {
      this.#bindState = 'unbound';
      throw fd === undefined ? systemError(port, 'bind') : invalidDescriptor(fd);
    }
    const { gro, reuseAddr, reusePort, ipv6Only, packetInfo, receiveTos } = this.#options;
    core.attach(port, gro ? GRO_BATCH : undefined);
    const set = (level: number, name: number): void => {
      native.setOption(port, level, name, 1);
    };
    const [level, info, tos] =
      this.version === 4
        ? [kernel.SOL_IP, kernel.IP_PKTINFO, kernel.IP_RECVTOS]
        : [kernel.SOL_IPV6, kernel.IPV6_RECVPKTINFO, kernel.IPV6_RECVTCLASS];
    if (fd === undefined) {
      if (reuseAddr) set(kernel.SOL_SOCKET, kernel.SO_REUSEADDR);
      if (reusePort) set(kernel.SOL_SOCKET, kernel.SO_REUSEPORT);
      if (ipv6Only && this.version === 6) set(kernel.SOL_IPV6, kernel.IPV6_V6ONLY);
    }
    if (gro) set(kernel.SOL_UDP, kernel.UDP_GRO);
    if (packetInfo) set(level, info);
    if (receiveTos) set(level, tos);
    // Datagrams of IPv4 peers to an IPv6 socket report their TOS at the IPv4 level.
    if (receiveTos && this.version === 6) set(kernel.SOL_IP, kernel.IP_RECVTOS);
  }

  #startListening(): void {
    const { core } = this;
    this.#bindState = 'bound';
    this.#sender.isBound = true;
    core.receiver.start();
    const { recvBufferSize, sendBufferSize } = core.options;
    if (recvBufferSize > 0) core.bufferSize('recv', recvBufferSize);
    if (sendBufferSize > 0) core.bufferSize('send', sendBufferSize);
    this.emit('listening');
    for (const { run } of this.#afterBind.splice(0)) run();
  }

  protected get isConnected(): boolean {
    return this.#sender.isConnected;
  }

  /** @internal */
  whenBound(run: () => void, failed: (error: Error) => void): void {
    if (this.#bindState === 'unbound') this.bind({ port: 0, exclusive: true });
    if (this.#bindState === 'bound') run();
    else this.#afterBind.push({ run, failed });
  }

  connect(port: unknown, address?: unknown, callback?: unknown): void {
    const number = checkPort(port, 1);
    if (typeof address === 'function') [callback, address] = [address, ''];
    else if (address === undefined) address = '';
    if (typeof address !== 'string') throw invalidType('address', 'of type string', address);
    if (this.#connectState !== 'disconnected') {
      throw nodeError('ERR_SOCKET_DGRAM_IS_CONNECTED', 'Already connected');
    }
    this.core.checkRunning();
    this.#connectState = 'connecting';
    const host = address;
    const listener = typeof callback === 'function' ? (callback as (error?: Error) => void) : null;
    this.whenBound(
      () => {
        if (listener !== null) this.once('connect', listener);
        this.#resolveLater(host, (error, ip) => this.#connectTo(error, ip, host, number, listener));
      },
      () => {
        this.#connectState = 'disconnected';
      },
    );
  }

  #connectTo(
    lookupError: Error | null,
    ip: string,
    host: string,
    port: number,
    listener: ((error?: Error) => void) | null,
  ): void {
    if (this.core.isClosed) return;
    let error = lookupError;
    if (error === null && this.#options.sendBlockList?.check(ip, `ipv${this.version}`) === true) {
      error = ipBlocked(ip);
    }
    if (error === null) {
      const name = this.encode(ip, port);
      const failed =
        name === undefined
          ? -EINVAL
          : this.core.withPort((native, bound) => native.connect(bound, name));
      if (failed < 0) error = addressError(failed, 'connect', host, port);
      else this.#sender.connectedTo(name as Buffer);
    }
    if (error === null) {
      this.#connectState = 'connected';
      this.#sender.isConnected = true;
      this.core.routes.forget();
      nextTick(() => this.emit('connect'));
      return;
    }
    this.#connectState = 'disconnected';
    nextTick(() => {
      if (listener === null) return this.emit('error', error);
      this.off('connect', listener);
      listener(error);
    });
  }

  disconnect(): void {
    if (this.#connectState !== 'connected') {
      throw nodeError('ERR_SOCKET_DGRAM_NOT_CONNECTED', 'Not connected');
    }
    this.#sender.sendCorked();
    this.dissolve();
    this.#connectState = 'disconnected';
    this.#sender.isConnected = false;
    this.core.routes.forget();
  }

  /** @internal */
  resolve(host: string, done: (error: Error | null, ip: string) => void): void {
    const family = this.version;
    const name = host || (family === 4 ? '127.0.0.1' : '::1');
    if (this.#lookup === undefined && isIP(name) !== 0) return done(null, name);
    const lookup = this.#lookup ?? (dns.lookup as unknown as Lookup);
    lookup(name, family as unknown as dns.LookupOneOptions, (error, ip) => done(error, ip));
  }

  // These cause events, which must not come before their listeners.
  #resolveLater(host: string, done: (error: Error | null, ip: string) => void): void {
    let returned = false;
    this.resolve(host, (error, ip) => {
      if (returned) done(error, ip);
      else nextTick(done, error, ip);
    });
    returned = true;
  }

  // --- sending ------------------------------------------------------------------------------------

  send(...args: unknown[]): Promise<SendReport> | undefined {
    const second = args[1];
    if (typeof second === 'object' && second !== null && !ArrayBuffer.isView(second)) {
      return this.#sender.sendReported(args[0], second);
    }
    this.#sender.send(args);
    return undefined;
  }

  /** @deprecated as in node:dgram: use send(). */
  sendto(
    buffer: unknown,
    offset: unknown,
    length: unknown,
    port: unknown,
    address: unknown,
    callback?: unknown,
  ): void {
    for (const [name, value] of Object.entries({ offset, length, port })) {
      if (typeof value !== 'number') throw invalidType(name, 'of type number', value);
    }
    if (typeof address !== 'string') throw invalidType('address', 'of type string', address);
    this.#sender.send([buffer, offset, length, port, address, callback]);
  }

  sendMany(datagrams: unknown, options?: unknown): Promise<SendReport> {
    return this.#sender.sendMany(datagrams, options);
  }

  cork(): void {
    this.core.checkRunning();
    this.#sender.cork();
  }

  uncork(): void {
    this.core.checkRunning();
    this.#sender.uncork();
  }

  override close(callback?: () => void): this {
    if (this.#afterBind.length === 0) {
      super.close(callback);
      // The callbacks of what was corked get an error.
      this.#sender.uncork();
      return this;
    }
    // As node:dgram: calls that wait for bind() go first.
    this.core.checkRunning();
    if (typeof callback === 'function') this.on('close', callback);
    const close = (): void => void (this.core.isClosed || this.close());
    this.#afterBind.push({ run: close, failed: close });
    return this;
  }

  // --- receiving ----------------------------------------------------------------------------------

  /** @internal */
  describe(slot: number, add: (arrival: Arrival<UdpRemoteInfo>) => void): void {
    const { words } = this.core;
    const peer = this.peerOf(slot);
    if (peer === undefined) return;
    const { address, family, port } = peer;
    if (this.#options.receiveBlockList?.check(address, family === 'IPv4' ? 'ipv4' : 'ipv6')) return;
    const info = (size: number): UdpRemoteInfo => ({ address, family, port, size });
    const segmentSize = words.segmentSize(slot);
    const bytes = words.bytes(slot);
    const split = segmentSize > 0 && bytes > segmentSize && this.#options.gro !== 'whole';
    if (!split) {
      const rinfo = this.#withExtras(info(bytes), slot, segmentSize);
      add({ data: words.message(slot, 0, bytes), rinfo });
      return;
    }
    for (let at = 0; at < bytes; at += segmentSize) {
      const size = Math.min(segmentSize, bytes - at);
      const rinfo = this.#withExtras(info(size), slot, 0);
      add({ data: words.message(slot, at, size), rinfo });
    }
  }

  #withExtras(rinfo: UdpRemoteInfo, slot: number, segmentSize: number): UdpRemoteInfo {
    if (this.#options.gro === 'whole') rinfo.segmentSize = segmentSize || rinfo.size;
    addPacketInfo(rinfo, this.core.words, slot, this.#options);
    return rinfo;
  }

  // As libuv: joining a group binds a socket that is not bound, to any port and address.
  protected bindForMembership(): void {
    if (this.core.isAttached) return;
    const failed = this.#bindDescriptor(this.version === 4 ? '0.0.0.0' : '::', 0);
    if (failed < 0) throw systemError(failed, 'addMembership');
    this.#boundByMembership = true;
  }
}

function checkFlags(options: UdpSocketOptions): void {
  checkOwnOptions(options);
  checkBlockList('options.receiveBlockList', options.receiveBlockList);
  checkBlockList('options.sendBlockList', options.sendBlockList);
}
