// UDP sockets: node:dgram's surface and semantics on a descriptor of this package's own, which libuv
// never sees: it would read the error queue itself (libuv 1.52, src/unix/udp.c:uv__udp_io).
import { channel } from 'node:diagnostics_channel';
import dns from 'node:dns';
import { isIP, type AddressInfo } from 'node:net';
import { constants } from 'node:os';
import { nextTick } from '../node/clock.js';
import { addPacketInfo, type Arrival } from '../datagram/receive.js';
import { resolveDatagramOptions } from '../datagram/options.js';
import { addressError, invalidType, ipBlocked, nodeError, systemError } from '../errors.js';
import { bindErrorEvent } from '../node/internals.js';
import type { Reactor } from '../native/reactor.js';
import type { SendReport } from '../observe/report.js';
import { checkBlockList, checkNumericAddress, checkOwnOptions, checkPort } from './arguments.js';
import { openDescriptor } from './descriptor.js';
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
    this.#checkUnbound();
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
    if (Number.isInteger(wanted.fd) && (wanted.fd as number) > 0) {
      this.#open(wanted.fd as number);
      this.#startListening();
      return this;
    }
    this.#bindState = 'binding';
    this.#resolveLater(host || this.#anyAddress, (error, ip) => {
      if (!this.core.isClosed) this.#bindTo(error, ip, number);
    });
    return this;
  }

  /** As bind(), at once: throws what bind() emits, and takes no host name. 'listening' comes a tick later. */
  bindSync(options: unknown = {}): AddressInfo {
    this.core.checkRunning();
    if (typeof options !== 'object' || options === null || Array.isArray(options)) {
      throw invalidType('options', 'of type object', options);
    }
    this.#checkUnbound();
    const { port, address } = options as { port?: unknown; address?: unknown };
    const number = checkPort(port ?? 0, 0, 'options.port');
    const ip = checkNumericAddress('options.address', address || this.#anyAddress, 'bindSync');
    const error = this.#bindNow(ip, number);
    if (error !== null) throw error;
    this.#startReceiving();
    nextTick(() => this.core.isClosed || this.emit('listening'));
    return this.address();
  }

  #checkUnbound(): void {
    if (this.#bindState === 'unbound') return;
    throw nodeError('ERR_SOCKET_ALREADY_BOUND', 'Socket is already bound');
  }

  get #anyAddress(): string {
    return this.version === 4 ? '0.0.0.0' : '::';
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
    const error = lookupError ?? this.#bindNow(ip, port);
    if (error === null) return this.#startListening();
    this.#bindState = 'unbound';
    const waiting = this.#afterBind.splice(0);
    this.core.receiver.emitError(error);
    for (const { failed } of waiting) failed(error);
  }

  #bindNow(ip: string, port: number): Error | null {
    if (this.#boundByMembership && port === 0) return null;
    const failed = this.#bindDescriptor(ip, port);
    return failed < 0 ? addressError(failed, 'bind', ip, port) : null;
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

  // Throws: a system error.
  #open(fd?: number): void {
    const port = openDescriptor(this.core.native, this.version, this.#options, fd);
    this.core.attach(port, this.#options.gro ? GRO_BATCH : undefined);
  }

  #startListening(): void {
    this.#startReceiving();
    this.emit('listening');
    for (const { run } of this.#afterBind.splice(0)) run();
  }

  #startReceiving(): void {
    const { core } = this;
    this.#bindState = 'bound';
    this.#sender.isBound = true;
    core.receiver.start();
    const { recvBufferSize, sendBufferSize } = core.options;
    if (recvBufferSize > 0) core.bufferSize('recv', recvBufferSize);
    if (sendBufferSize > 0) core.bufferSize('send', sendBufferSize);
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
    this.#checkDisconnected();
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

  /** As connect(), at once: throws what connect() emits, and takes no host name. 'connect' comes a tick later. */
  connectSync(port: unknown, address?: unknown): void {
    this.core.checkRunning();
    const number = checkPort(port, 1);
    this.#checkDisconnected();
    const localhost = this.version === 4 ? '127.0.0.1' : '::1';
    const ip = checkNumericAddress(
      'address',
      (address ?? '') === '' ? localhost : address,
      'connectSync',
    );
    if (this.#bindState === 'unbound') this.bindSync();
    else if (this.#bindState === 'binding') this.#checkUnbound();
    const error = this.#connectNow(ip, ip, number);
    if (error !== null) throw error;
    nextTick(() => this.core.isClosed || this.emit('connect'));
  }

  #checkDisconnected(): void {
    if (this.#connectState === 'disconnected') return;
    throw nodeError('ERR_SOCKET_DGRAM_IS_CONNECTED', 'Already connected');
  }

  #connectTo(
    lookupError: Error | null,
    ip: string,
    host: string,
    port: number,
    listener: ((error?: Error) => void) | null,
  ): void {
    if (this.core.isClosed) return;
    const error = lookupError ?? this.#connectNow(ip, host, port);
    if (error === null) {
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

  #connectNow(ip: string, host: string, port: number): Error | null {
    if (this.#options.sendBlockList?.check(ip, `ipv${isIP(ip) === 4 ? 4 : 6}`) === true) {
      return ipBlocked(ip);
    }
    const name = this.encode(ip, port);
    const failed =
      name === undefined
        ? -EINVAL
        : this.core.withPort((native, bound) => native.connect(bound, name));
    if (failed < 0) return addressError(failed, 'connect', host, port);
    this.#sender.connectedTo(name as Buffer);
    this.#connectState = 'connected';
    this.#sender.isConnected = true;
    this.core.routes.forget();
    return null;
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
