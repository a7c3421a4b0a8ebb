// What UDP and raw sockets share besides datagrams: the addresses of both ends, and options of the IP layer.
import type { Native } from '../native/binding.js';
import type { Reactor } from '../native/reactor.js';
import {
  decodeAddress,
  encodeAddress,
  interfaceNames,
  type InterfaceNames,
  type SocketAddress,
} from '../native/sockaddr.js';
import { systemError } from '../errors.js';
import type { EngineName, Reason } from '../names.js';
import { DatagramCore } from './core.js';
import type { ResolvedDatagramOptions } from './options.js';
import { PeerNames } from './receive.js';
import { DatagramSocket } from './socket.js';

export abstract class IpSocket<Info> extends DatagramSocket<Info> {
  protected readonly core: DatagramCore<Info>;
  protected readonly version: 4 | 6;
  protected readonly names: InterfaceNames;
  readonly #peers: PeerNames<SocketAddress>;

  /** @param refused, engine as of DatagramCore */
  constructor(
    version: 4 | 6,
    options: ResolvedDatagramOptions,
    reactor: Reactor,
    refused?: Reason,
    engine?: EngineName,
  ) {
    super();
    const { native } = reactor;
    this.version = version;
    this.core = new DatagramCore(this, reactor, options, refused, engine);
    this.names = interfaceNames(native);
    this.#peers = new PeerNames(this.core.words, (name) =>
      decodeAddress(name, native.kernel, this.names),
    );
  }

  /** The sender of the received datagram `slot`. */
  protected peerOf(slot: number): SocketAddress | undefined {
    return this.#peers.of(slot);
  }

  /** The sockaddr of an address; undefined if it is not of this socket's version. */
  protected encode(ip: string, port: number): Buffer | undefined {
    return encodeAddress(ip, port, this.version, this.core.native.kernel, this.names);
  }

  /** Throws: ERR_SOCKET_DGRAM_NOT_RUNNING, a system error of `syscall`. */
  protected nameOf(
    syscall: 'getsockname' | 'getpeername',
    ask: (native: Native, port: number) => Buffer | number,
  ): SocketAddress | { address: ''; family: ''; port: 0 } {
    this.core.checkRunning();
    const name = this.core.withPort(ask);
    if (typeof name === 'number') throw systemError(name, syscall);
    const decoded = decodeAddress(name, this.core.native.kernel, this.names);
    return decoded ?? { address: '', family: '', port: 0 };
  }

  /** Throws: a system error. */
  protected dissolve(): void {
    this.core.engine?.flush();
    // AF_UNSPEC is 0.
    const failed = this.core.withPort((native, port) => native.connect(port, Buffer.alloc(16)));
    if (failed < 0) throw systemError(failed, 'connect');
  }

  setBroadcast(on: unknown): void {
    const { SOL_SOCKET, SO_BROADCAST } = this.core.native.kernel;
    this.core.setOption('setBroadcast', SOL_SOCKET, SO_BROADCAST, on ? 1 : 0);
  }

  /** Sets an option that has different names in IPv4 and IPv6. Throws: a system error of `syscall`. */
  protected setByVersion(syscall: string, name4: number, name6: number, value: number): void {
    const { SOL_IP, SOL_IPV6 } = this.core.native.kernel;
    const [level, name] = this.version === 4 ? [SOL_IP, name4] : [SOL_IPV6, name6];
    this.core.setOption(syscall, level, name, value);
  }
}
