// Where a test's connections run: over loopback, which always copies, and over the rig, which does not.
import type { Place } from '../../scripts/place';
import type { Rig } from '../../scripts/rig';
import type { Address } from './receiver-client';
import { RunnerPlace } from './runner-place';
import { suitesOf, uringSuite } from './suites';

export const FAMILIES = ['IPv4', 'IPv6', 'v4-mapped'] as const;
export type Family = (typeof FAMILIES)[number];

export class TcpPlace extends RunnerPlace {
  #port = 0;

  static async open(place: Place): Promise<TcpPlace> {
    place.growSendBuffers();
    const tcp = new TcpPlace(place);
    tcp.#port = await tcp.startReceiver('receiver-program');
    return tcp;
  }

  /** The receiver's address as the sender dials it. */
  to(family: Family = 'IPv4'): Address {
    const address = this.place.address('receiver', family === 'IPv6' ? 6 : 4);
    return { host: family === 'v4-mapped' ? `::ffff:${address}` : address, port: this.#port };
  }

  /** An address of the sender's, for the receiver to dial. */
  get senderHost(): string {
    return this.place.address('sender');
  }
}

export type TcpRigPlace = TcpPlace & { readonly rig: Rig };

export const {
  loopback: loopbackSuite,
  rig: rigPlaceSuite,
  everywhere,
} = suitesOf((place) => TcpPlace.open(place));

/** A suite at both places of what is sent by io_uring. */
export function uringEverywhere(title: string, body: (getPlace: () => TcpPlace) => void): void {
  uringSuite('io_uring', () => everywhere(title, body));
}
