// Where packets of a raw socket's ring leave this host: device and link address of the next hop, from the
// kernel's routes and neighbours. They are looked up at first, when rtnetlink announces a change, and once a
// second, because the kernel announces neither a path MTU that it learned nor a redirect.
import { constants } from 'node:os';
import { nowMs } from '../node/clock.js';
import { PLAIN, type DatagramMetadata } from '../datagram/metadata.js';
import { systemError } from '../errors.js';
import type { Native } from '../native/binding.js';
import type { Reactor } from '../native/reactor.js';
import {
  addressIn,
  encodeLinkAddress,
  encodeNetlinkName,
  isMappedName,
} from '../native/sockaddr.js';
import type { Reason } from '../names.js';

/** How long a next hop is used without looking it up again, if no change is announced. */
const MOST_AGE_MS = 1_000;
/** How often to check for announcements: not before each packet of a burst. */
const LOOK_MS = 0.1;
/** The same for an unknown neighbour: a device without ARP announces none. */
const NO_NEIGHBOUR_MS = 50;
const ETHERNET_ADDRESS_BYTES = 6;
const IPV6_MULTICAST = 0xff;

/** The route to one destination. */
export interface NextHop {
  /** Why the ring cannot send there; undefined: it can. */
  reason: Reason | undefined;
  /**
   * Names the neighbour (sockaddr_ll). The name is rewritten in place, so that frames which wait for the device go to
   * where the neighbour is then.
   */
  readonly metadata: DatagramMetadata;
  /** The 4 or 16 bytes of the destination. */
  destination: Uint8Array;
  /** The kernel's choice of a source address; undefined: it made none. */
  source: Uint8Array | undefined;
  /** Bytes of the longest packet that is not fragmented. */
  mtu: number;
  /** The kernel must send a packet itself: only then does it check whether the neighbour is still there. */
  isUnconfirmed: boolean;
}

interface Known {
  readonly hop: NextHop;
  generation: number;
  untilMs: number;
}

const { ENOENT } = constants.errno;

export class NextHops {
  readonly #reactor: Reactor;
  readonly #native: Native;
  readonly #version: 4 | 6;
  /** The raw socket, whose own address and peer the routes depend on. */
  readonly #port: number;
  readonly #device: number;
  readonly #beforeChange: () => void;
  readonly #watch: number;
  /** By destination, as the raw socket describes it. */
  #known = new WeakMap<DatagramMetadata, Known>();
  /** The last destination, and its next hop. */
  #lastTo: DatagramMetadata | undefined;
  #last: Known | undefined;
  #lookedMs = 0;
  #generation = 0;
  #peer: Uint8Array | undefined;

  /**
   * @param device the only interface that may be used; 0: any
   * @param beforeChange called before a next hop is looked up and its name rewritten: sends what waits for the old one
   * Throws: a system error, if rtnetlink is not available.
   */
  constructor(
    reactor: Reactor,
    port: number,
    version: 4 | 6,
    device: number,
    beforeChange: () => void,
  ) {
    this.#reactor = reactor;
    this.#native = reactor.native;
    this.#port = port;
    this.#version = version;
    this.#device = device;
    this.#beforeChange = beforeChange;
    const { kernel } = this.#native;
    const { AF_NETLINK, SOCK_RAW, NETLINK_ROUTE } = kernel;
    this.#watch = this.#native.openDatagram(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    if (this.#watch < 0) throw systemError(this.#watch, 'socket');
    const { ROUTE_GROUPS } = reactor.constants;
    const bound = this.#native.bind(this.#watch, encodeNetlinkName(ROUTE_GROUPS, kernel));
    if (bound === 0) return;
    this.close();
    throw systemError(bound, 'bind');
  }

  close(): void {
    this.#reactor.release(this.#watch);
  }

  /** The next hop to `destination`, as it is now. */
  to(destination: DatagramMetadata): NextHop {
    const now = nowMs();
    if (now - this.#lookedMs >= LOOK_MS) {
      this.#lookedMs = now;
      // Read here and not in the event loop, which a busy sender may not reach in time.
      if (this.#native.discardReceived(this.#watch)) this.#generation++;
    }
    const known = destination === this.#lastTo ? (this.#last as Known) : this.#find(destination);
    if (known.generation === this.#generation && now < known.untilMs) return known.hop;
    this.#beforeChange();
    const reason = this.#resolve(known.hop, destination);
    known.hop.reason = reason;
    known.generation = this.#generation;
    known.untilMs = now + (reason === 'no-neighbour' ? NO_NEIGHBOUR_MS : MOST_AGE_MS);
    return known.hop;
  }

  #find(destination: DatagramMetadata): Known {
    let known = this.#known.get(destination);
    if (known === undefined) {
      known = { hop: this.#unresolved(), generation: -1, untilMs: 0 };
      this.#known.set(destination, known);
    }
    this.#lastTo = destination;
    this.#last = known;
    return known;
  }

  /**
   * The socket was bound, connected or disconnected: routes may depend on it.
   * @param peer the sockaddr it is connected to; getpeername(2) does not report it for raw sockets, which have no ports
   */
  renamed(peer: Uint8Array | undefined): void {
    this.#peer = peer;
    this.#generation++;
  }

  #unresolved(): NextHop {
    const { kernel } = this.#native;
    const protocol = this.#version === 4 ? kernel.ETH_P_IP : kernel.ETH_P_IPV6;
    const name = encodeLinkAddress(0, protocol, new Uint8Array(ETHERNET_ADDRESS_BYTES), kernel);
    return {
      reason: 'no-route',
      metadata: Object.freeze({ ...PLAIN, name }),
      destination: new Uint8Array(0),
      source: undefined,
      mtu: 0,
      isUnconfirmed: false,
    };
  }

  // Looks up the route as the raw socket's own send would. @returns why the ring cannot send there, if it cannot
  #resolve(hop: NextHop, to: DatagramMetadata): Reason | undefined {
    const native = this.#native;
    const name = to.name ?? this.#peer;
    if (name === undefined || isMappedName(name)) return 'no-route';
    const { bytes, scope } = addressIn(Buffer.from(name), this.#version);
    const source = this.#ownAddress();
    const route = native.findRoute(bytes, scope || this.#device, source);
    if (typeof route === 'number') return 'no-route';
    const { RTN_LOCAL, RTN_UNICAST, ARPHRD_ETHER, ARPHRD_LOOPBACK } = native.kernel;
    if (route.type === RTN_LOCAL) return 'loopback';
    const isGroup = this.#version === 6 && bytes[0] === IPV6_MULTICAST;
    if (route.type !== RTN_UNICAST || isGroup) return 'multicast';
    const device = native.findInterface(route.device);
    if (typeof device === 'number') return 'no-route';
    if (device.type === ARPHRD_LOOPBACK) return 'loopback';
    if (device.type !== ARPHRD_ETHER) return 'no-link-header';
    if (route.rewrites) return 'kernel-route';
    hop.destination = bytes;
    hop.source = source ?? route.source;
    hop.mtu = route.mtu === 0 ? device.mtu : Math.min(route.mtu, device.mtu);
    return this.#meet(hop, route.gateway ?? bytes, route.device);
  }

  // Finds the neighbour's link address.
  #meet(hop: NextHop, address: Uint8Array, device: number): Reason | undefined {
    const { kernel } = this.#native;
    const found = this.#native.findNeighbour(address, device);
    if (typeof found === 'number') return found === -ENOENT ? 'no-neighbour' : 'kernel-unsupported';
    const { state, address: link } = found;
    if ((state & kernel.NUD_VALID) === 0 || link.length !== ETHERNET_ADDRESS_BYTES) {
      return 'no-neighbour';
    }
    const protocol = this.#version === 4 ? kernel.ETH_P_IP : kernel.ETH_P_IPV6;
    (hop.metadata.name as Buffer).set(encodeLinkAddress(device, protocol, link, kernel));
    hop.isUnconfirmed = state === kernel.NUD_STALE;
    return undefined;
  }

  // The address that the socket is bound to; undefined: any.
  #ownAddress(): Uint8Array | undefined {
    const name = this.#native.localName(this.#port);
    if (typeof name === 'number') return undefined;
    const { bytes } = addressIn(name, this.#version);
    return bytes.some((byte) => byte !== 0) ? bytes : undefined;
  }
}
