// Where packet tests run: a plain veth pair between two namespaces, and the rig. The process of the
// tests stays outside; a program in the near namespace holds the sockets under test, and starts the
// receiver in the far one by itself (see packet-scenario.ts).
import type { Place } from '../../scripts/place';
import type { RigSide } from '../../scripts/rig';
import { type End, ip, linkState, type Wire } from './packet-wire';
import { RunnerPlace } from './runner-place';
import { suitesAt } from './suites';

const SCENARIO_DEADLINE_MS = 30_000;

export class PacketPlace extends RunnerPlace {
  private constructor(
    place: Place,
    readonly wire: Wire,
  ) {
    super(place, { argument: wire, deadlineMs: SCENARIO_DEADLINE_MS });
  }

  static open(this: void, place: Place): PacketPlace {
    const { sender, receiver } = place.ends as { sender: RigSide; receiver: RigSide };
    return new PacketPlace(place, makeWire(sender, receiver, place.mtu));
  }
}

// Frames are sent to known neighbours: nothing but what a test sends is on the wire for its sake.
function makeWire(near: RigSide, far: RigSide, mtu: number): Wire {
  const sink = `k${near.device}`.slice(0, 15);
  ip(near, 'link', 'add', 'name', sink, 'type', 'ifb');
  ip(near, 'link', 'set', sink, 'up');
  const end = (side: RigSide): End => ({
    ...side,
    mac: linkState(side, side.device).address,
  });
  const wire: Wire = { near: end(near), far: end(far), sink, mtu };
  const neighbours = [
    [wire.near, wire.far],
    [wire.far, wire.near],
  ] as const;
  for (const [here, there] of neighbours) {
    for (const address of [there.address4, there.address6]) {
      const entry = [address, 'lladdr', there.mac, 'dev', here.device, 'nud', 'permanent'];
      ip(here, 'neigh', 'replace', ...entry);
    }
  }
  return wire;
}

/** A suite over a veth pair without anything else. */
export function plainPacketSuite(title: string, body: (get: () => PacketPlace) => void): void {
  suitesAt(['veth'], title, PacketPlace.open, body);
}

/** The same suite over the veth pair and over the rig. */
export function packetSuites(title: string, body: (get: () => PacketPlace) => void): void {
  suitesAt(['veth', 'rig'], title, PacketPlace.open, body);
}
