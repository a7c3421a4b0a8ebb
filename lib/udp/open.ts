// The UDP sockets of this package, or node:dgram's where the addon cannot load.
import dgram from 'node:dgram';
import { invalidType, unavailable } from '../errors.js';
import { getReactor, Reactor } from '../native/reactor.js';
import { limitRate } from '../send/pacing.js';
import { checkBlockList } from './arguments.js';
import { FallbackUdpSocket } from './fallback.js';
import { UdpSocket } from './socket.js';
import type { UdpMessageListener, UdpSocketOptions, ZeroCopyUdpSocket } from './types.js';

/** As createUdpSocket(). */
export function openUdpSocket(
  options: 'udp4' | 'udp6' | UdpSocketOptions,
  onMessage?: UdpMessageListener,
): ZeroCopyUdpSocket {
  const given = typeof options === 'string' ? { type: options } : options;
  if (typeof given !== 'object' || given === null) throw badType();
  if (given.type !== 'udp4' && given.type !== 'udp6') throw badType();
  if (given.lookup !== undefined && typeof given.lookup !== 'function') {
    throw invalidType('lookup', 'of type function', given.lookup);
  }
  const reactor = getReactor();
  if (reactor instanceof Reactor) {
    return new UdpSocket(given, reactor, onMessage) as unknown as ZeroCopyUdpSocket;
  }
  checkBlockList('options.receiveBlockList', given.receiveBlockList);
  checkBlockList('options.sendBlockList', given.sendBlockList);
  if (given.sendBlockList !== undefined && !knowsBlockLists()) {
    throw unavailable("UDP sockets with the option 'sendBlockList'", reactor.why);
  }
  const socket = new FallbackUdpSocket(given, reactor, onMessage);
  if (given.zeroCopy?.maxPacingRate !== undefined) limitRate(() => 0);
  return socket as unknown as ZeroCopyUdpSocket;
}

function badType(): Error {
  return Object.assign(new TypeError('Bad socket type specified. Valid types are: udp4, udp6'), {
    code: 'ERR_SOCKET_BAD_TYPE',
  });
}

// Older versions of Node ignore the option silently; newer ones refuse what is not a list.
function knowsBlockLists(): boolean {
  try {
    dgram.createSocket({ type: 'udp4', sendBlockList: {} } as dgram.SocketOptions).close();
    return false;
  } catch {
    return true;
  }
}
