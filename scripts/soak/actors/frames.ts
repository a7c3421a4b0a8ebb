// UDP in IP, put on the device by hand, with the Ethernet header ours or the kernel's.
import { headers } from '../../../lib/index';
import { type Link, linkTowards } from '../../selftest/route';
import type { World } from '../world';

const ETHERTYPE = { 4: 0x0800, 6: 0x86dd } as const;
const UDP_PROTOCOL = 17;
const UDP_BYTES = 8;
const IP_BYTES = { 4: 20, 6: 40 } as const;
const ETHERNET_BYTES = 14;

/** Within an MTU of 1500, beside every header. */
export const MOST_PAYLOAD_BYTES = 1400;

// The way to the receiver does not change while a process runs, and asking costs two programs.
const links = new Map<string, Promise<Link>>();

export class Frames {
  readonly device: string;
  readonly #world: World;
  readonly #link: Link;

  private constructor(
    world: World,
    link: Link,
    readonly family: 4 | 6,
    readonly type: 'raw' | 'dgram',
  ) {
    this.#world = world;
    this.#link = link;
    this.device = link.device;
  }

  static async towards(world: World, type: 'raw' | 'dgram'): Promise<Frames> {
    // IPv4 takes a frame that a packet socket put on the loopback device for a martian.
    const { target, address } = world.order;
    const family = target.address[4] === address[4] ? 6 : 4;
    const destination = target.address[family];
    let link = links.get(destination);
    if (link === undefined) links.set(destination, (link = linkTowards(destination)));
    return new Frames(world, await link, family, type);
  }

  get headerBytes(): number {
    return (this.type === 'raw' ? ETHERNET_BYTES : 0) + IP_BYTES[this.family] + UDP_BYTES;
  }

  /** What a send is told beside the frame. */
  get options(): { address?: string; protocol?: number } {
    if (this.type === 'raw') return {};
    return { address: this.#link.destinationMac, protocol: ETHERTYPE[this.family] };
  }

  /** All headers of a frame with this payload, whose checksum they carry. */
  before(payload: Buffer): Buffer {
    const { family } = this;
    const { target } = this.#world.order;
    const { source, sourceMac, destinationMac } = this.#link;
    const destination = target.address[family];
    const port = target.udp[family];
    const fields = { source, destination, protocol: UDP_PROTOCOL };
    const payloadLength = UDP_BYTES + payload.length;
    const ip =
      family === 6
        ? headers.ipv6({ ...fields, payloadLength })
        : headers.ipv4({ ...fields, payloadLength });
    const ports = { sourcePort: port, destinationPort: port };
    const udp = headers.udp({ source, destination, ...ports, payload });
    const link = { source: sourceMac, destination: destinationMac, protocol: ETHERTYPE[family] };
    return Buffer.concat(this.type === 'raw' ? [headers.ethernet(link), ip, udp] : [ip, udp]);
  }
}
