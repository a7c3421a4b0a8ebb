// What a write keeps beside its chunks until they are released, where it uses a pool or is watched.
import type { BufferPool } from '../memory/buffer-pool.js';
import type { MutationWatch } from '../memory/mutation.js';
import { unpinPieces, type PoolPiece } from '../memory/pool-pins.js';

export class Kept {
  /**
   * @param pieces of pools that the chunks lie in
   * @param watch looks whether the chunks change
   * @param staged a header in a pool, which it goes back to
   */
  constructor(
    readonly pieces: readonly PoolPiece[] | undefined,
    readonly watch: MutationWatch | undefined,
    readonly staged: { readonly pool: BufferPool; readonly memory: Buffer } | undefined,
  ) {}

  /** The memory is released. Runs no user code. */
  release(): void {
    this.watch?.release();
    if (this.pieces !== undefined) unpinPieces(this.pieces);
    this.staged?.pool.free(this.staged.memory);
  }
}
