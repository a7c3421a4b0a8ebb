// What a UDP socket can be asked and told beside datagrams: names, options, multicast. Errors are those
// of node:dgram, which come from libuv (src/unix/udp.c).
import type { AddressInfo } from 'node:net';
import { constants } from 'node:os';
import type { Native } from '../native/binding.js';
import type { DatagramCore } from '../datagram/core.js';
import { DatagramSocket } from '../datagram/socket.js';
import { invalidType, nodeError, systemError } from '../errors.js';
import { decodeAddress, type InterfaceNames } from '../native/sockaddr.js';
import * as multicast from './multicast.js';
import type { UdpRemoteInfo } from './types.js';

const { EBADF, EINVAL } = constants.errno;

export abstract class UdpSettings extends DatagramSocket<UdpRemoteInfo> {
  protected abstract override readonly core: DatagramCore<UdpRemoteInfo>;
  protected abstract readonly version: 4 | 6;
  protected abstract readonly names: InterfaceNames;
  protected abstract readonly isConnected: boolean;
  /** Binds a socket that is not bound, as joining a group does. */
  protected abstract bindForMembership(): void;

  address(): AddressInfo {
    return this.#name('getsockname', (native, port) => native.localName(port));
  }

  remoteAddress(): AddressInfo {
    this.core.checkRunning();
    if (!this.isConnected) {
      throw nodeError('ERR_SOCKET_DGRAM_NOT_CONNECTED', 'Not connected');
    }
    return this.#name('getpeername', (native, port) => native.peerName(port));
  }

  #name(syscall: string, ask: (native: Native, port: number) => Buffer | number): AddressInfo {
    this.core.checkRunning();
    const name = this.core.withPort(ask);
    if (typeof name === 'number') throw systemError(name, syscall);
    const decoded = decodeAddress(name, this.core.native.kernel, this.names);
    return decoded ?? { address: '', family: '', port: 0 };
  }

  setBroadcast(on: unknown): void {
    const { SOL_SOCKET, SO_BROADCAST } = this.core.native.kernel;
    this.core.setOption('setBroadcast', SOL_SOCKET, SO_BROADCAST, on ? 1 : 0);
  }

  setTTL(ttl: unknown): number {
    const { kernel } = this.core.native;
    return this.#setHops('setTTL', ttl, 1, kernel.IP_TTL, kernel.IPV6_UNICAST_HOPS);
  }

  setMulticastTTL(ttl: unknown): number {
    const { kernel } = this.core.native;
    return this.#setHops(
      'setMulticastTTL',
      ttl,
      0,
      kernel.IP_MULTICAST_TTL,
      kernel.IPV6_MULTICAST_HOPS,
    );
  }

  #setHops(syscall: string, ttl: unknown, least: number, name4: number, name6: number): number {
    if (typeof ttl !== 'number') throw invalidType('ttl', 'of type number', ttl);
    if (!this.core.isAttached || this.core.isClosed) throw systemError(-EBADF, syscall);
    if (!(ttl >= least && ttl <= 255)) throw systemError(-EINVAL, syscall);
    this.#setForVersion(syscall, name4, name6, ttl);
    return ttl;
  }

  setMulticastLoopback(on: unknown): unknown {
    const { IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP } = this.core.native.kernel;
    const value = on ? 1 : 0;
    this.#setForVersion('setMulticastLoopback', IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP, value);
    return on;
  }

  #setForVersion(syscall: string, name4: number, name6: number, value: number): void {
    const { SOL_IP, SOL_IPV6 } = this.core.native.kernel;
    const [level, name] = this.version === 4 ? [SOL_IP, name4] : [SOL_IPV6, name6];
    this.core.setOption(syscall, level, name, value);
  }

  setMulticastInterface(address: unknown): void {
    this.core.checkRunning();
    if (typeof address !== 'string') {
      throw invalidType('interfaceAddress', 'of type string', address);
    }
    this.#check('setMulticastInterface', (native, port) =>
      multicast.chooseInterface(native, port, this.version, address),
    );
  }

  addMembership(group: string, through?: string): void {
    this.#changeMembership('add', group, through);
  }

  dropMembership(group: string, through?: string): void {
    this.#changeMembership('drop', group, through);
  }

  #changeMembership(change: multicast.Change, group: string, through: string | undefined): void {
    this.core.checkRunning();
    if (!group) throw missingArgument('multicastAddress');
    this.bindForMembership();
    this.#check(`${change}Membership`, (native, port) =>
      multicast.changeMembership(native, port, change, group, through),
    );
  }

  addSourceSpecificMembership(source: string, group: string, through?: string): void {
    this.#changeSourceMembership('add', source, group, through);
  }

  dropSourceSpecificMembership(source: string, group: string, through?: string): void {
    this.#changeSourceMembership('drop', source, group, through);
  }

  #changeSourceMembership(
    change: multicast.Change,
    source: unknown,
    group: unknown,
    through: string | undefined,
  ): void {
    this.core.checkRunning();
    if (typeof source !== 'string') throw invalidType('sourceAddress', 'of type string', source);
    if (typeof group !== 'string') throw invalidType('groupAddress', 'of type string', group);
    this.bindForMembership();
    this.#check(`${change}SourceSpecificMembership`, (native, port) =>
      multicast.changeSourceMembership(native, port, change, group, source, through),
    );
  }

  #check(syscall: string, ask: (native: Native, port: number) => number): void {
    const result = this.core.withPort(ask);
    if (result < 0) throw systemError(result, syscall);
  }
}

function missingArgument(name: string): Error {
  return Object.assign(new TypeError(`The "${name}" argument must be specified`), {
    code: 'ERR_MISSING_ARGS',
  });
}
