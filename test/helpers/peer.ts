// A test's control of the peer program, which accepts connections and leaves them unread until it is told to read.
import type { PeerEvent } from '../scenarios/peer';
import { Place } from '../../scripts/place';
import { type Program, startProgram } from './program';

/** How one connection ended. */
export interface Arrival {
  readonly bytes: number;
  /** Bytes that differ from the connection's keystream. */
  readonly wrong: number;
  /** Whether the sender ended it or reset it; else what went wrong. */
  readonly how: string;
}

export class Peer {
  private constructor(
    readonly program: Program,
    readonly port: number,
  ) {}

  static async start(place?: Place): Promise<Peer> {
    const address = place?.address('receiver') ?? '127.0.0.1';
    const program = startProgram(
      'peer',
      { address },
      { ...(place && { place }), side: 'receiver' },
    );
    const { port } = await program.next<{ port: number }>();
    return new Peer(program, port);
  }

  /** Reads everything of the connections that are there, and of later ones. */
  read(): void {
    this.program.tell({ read: 'all' });
  }

  /** Reads everything, `bytes` at a time every `everyMs`. */
  readSlowly(bytes: number, everyMs: number): void {
    this.program.tell({ read: 'slowly', bytes, everyMs });
  }

  /** How the next connection to end ended. */
  async nextArrival(): Promise<Arrival> {
    const { arrival } = await this.program.next<PeerEvent>();
    if (arrival === undefined) throw new Error('the peer said something else');
    return arrival;
  }
}
