// Where a test's two ends run: both on loopback, or each in its namespace of the rig, where the
// kernel really sends from the program's memory and a premature release cannot hide.
import { spawnSync } from 'node:child_process';
import type { Rig } from '../../scripts/rig';
import { rigSuite } from './rig';

export type Side = 'sender' | 'receiver';

export interface Place {
  /** Address of the side, as seen from the other. */
  readonly address: Readonly<Record<Side, string>>;
  /** `argv` as it must be started to run on that side. */
  command(side: Side, argv: readonly string[]): readonly string[];
}

export const loopback: Place = {
  address: { sender: '127.0.0.1', receiver: '127.0.0.1' },
  command: (_side, argv) => argv,
};

// A send buffer that holds megabytes from the start. It grows with the congestion window, which stays
// small while the peer does not read: without this hardly anything would be pinned to a stalled peer.
const TCP_WMEM = '4096 4194304 8388608';

const prepared = new WeakMap<Rig, Place>();

function rigPlace(rig: Rig): Place {
  const known = prepared.get(rig);
  if (known !== undefined) return known;
  const [file = '', ...rest] = rig.command('sender', [
    'sh',
    '-c',
    `echo '${TCP_WMEM}' > /proc/sys/net/ipv4/tcp_wmem`,
  ]);
  const { status, stderr } = spawnSync(file, rest, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`tcp_wmem: ${stderr}`);
  const place: Place = {
    address: { sender: rig.sender.address4, receiver: rig.receiver.address4 },
    command: (side, argv) => rig.command(side, argv),
  };
  prepared.set(rig, place);
  return place;
}

/** Declares the same tests on loopback and on the rig. */
export function describePlaces(title: string, body: (getPlace: () => Place) => void): void {
  describe(`${title}, on loopback`, () => body(() => loopback));
  rigSuite(`${title}, on the rig`, (getRig) => body(() => rigPlace(getRig())));
}
