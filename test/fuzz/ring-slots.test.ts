// A transmit ring's slots, against a kernel that looks at them in order: whatever is reserved, committed
// and discarded in whatever order, each committed frame leaves once, none else does, and no slot is handed
// out while the kernel has it.
import assert from 'node:assert/strict';
import { type RingFrame, RingSlots } from '../../lib/datagram/ring-slots';
import { eachLife, LIVES_TIMEOUT_MS } from '../helpers/lives';
import { between } from '../../scripts/random';

const DESTINATIONS = [undefined, Uint8Array.of(1), Uint8Array.of(2)];

/** A ring whose frames' contents are numbers, each used once. */
class World {
  readonly slots: RingSlots;
  /** What stands in each slot, as in shared memory. */
  readonly content: (number | undefined)[];
  /** Slots that a producer holds, and what it wrote. */
  readonly reserved = new Map<number, number>();
  /** Committed, and not sent yet. */
  readonly committed = new Map<number, Uint8Array | undefined>();
  /** Slots that the kernel has, in order. */
  readonly kernel: number[] = [];
  #nextContent = 0;

  constructor(readonly size: number) {
    this.slots = new RingSlots(size);
    this.content = new Array<number | undefined>(size).fill(undefined);
  }

  reserve(): void {
    const slot = this.slots.reserve();
    assert.ok(!this.kernel.includes(slot), 'the kernel has this slot');
    assert.ok(!this.reserved.has(slot), 'a producer has this slot');
    const waiting = this.content[slot];
    assert.ok(
      waiting === undefined || !this.committed.has(waiting),
      'a committed frame stands here',
    );
    const content = this.#nextContent++;
    this.content[slot] = content;
    this.reserved.set(slot, content);
    assert.ok(this.slots.isReserved(slot));
  }

  commit(slot: number, name: Uint8Array | undefined): void {
    const frame = this.slots.frame(slot);
    const content = this.reserved.get(slot) as number;
    frame.state = 'committed';
    frame.name = name;
    frame.length = content;
    this.reserved.delete(slot);
    this.committed.set(content, name);
    assert.ok(!this.slots.isReserved(slot));
  }

  discard(slot: number): void {
    this.slots.frame(slot).state = 'discarded';
    this.reserved.delete(slot);
    assert.ok(!this.slots.isReserved(slot));
  }

  /** Hands one run over; the kernel takes `share` of it, 0 to 1. False: nothing can go. */
  hand(share: number): boolean {
    const run = this.slots.nextRun((from, to, frame: RingFrame) => {
      assert.ok(!this.reserved.has(from) && !this.reserved.has(to), 'moves what nobody holds');
      assert.equal(this.content[from], frame.length);
      this.content[to] = this.content[from];
      this.content[from] = undefined;
    });
    if (run === undefined) return false;
    const count = Math.floor(run.count * share);
    for (let place = run.first; place < run.first + count; place++) {
      const slot = place % this.size;
      const content = this.content[slot] as number;
      assert.equal(this.slots.frame(place).length, content, 'the frame is that of its slot');
      assert.ok(this.committed.has(content), 'what leaves was committed, and leaves once');
      assert.equal(this.committed.get(content), run.name, 'it goes where it was to go');
      this.committed.delete(content);
      this.kernel.push(slot);
    }
    this.slots.taken(count);
    return count > 0;
  }

  giveBack(count: number): void {
    if (count > 0) assert.equal(this.slots.oldest, this.kernel[0]);
    let seen = 0;
    this.slots.gaveBack(count, (_, frames) => (seen += frames));
    assert.equal(seen, count);
    this.kernel.splice(0, count);
  }

  compare(): void {
    assert.equal(this.slots.pending, this.kernel.length);
    const held = this.kernel.length + this.reserved.size + this.committed.size;
    assert.ok(this.slots.free <= this.size - held, 'free is what nobody holds');
    assert.ok(this.slots.free >= 0);
    for (const slot of this.reserved.keys()) assert.ok(this.slots.isReserved(slot));
  }
}

function any<T>(random: () => number, of: Iterable<T>): T {
  const all = [...of];
  return all[between(random, 0, all.length - 1)] as T;
}

function step(world: World, random: () => number): void {
  const choice = random();
  if (choice < 0.35 && world.slots.free > 0) return world.reserve();
  if (choice < 0.65 && world.reserved.size > 0) {
    return world.commit(any(random, world.reserved.keys()), any(random, DESTINATIONS));
  }
  if (choice < 0.72 && world.reserved.size > 0) {
    return world.discard(any(random, world.reserved.keys()));
  }
  if (choice < 0.88) world.hand(random());
  else world.giveBack(between(random, 0, world.kernel.length));
}

describe("a transmit ring's slots", () => {
  it('are sent once each, in whatever order they are committed', () => {
    eachLife((random) => {
      const world = new World(2 ** between(random, 0, 6));
      const steps = between(random, 1, 600);
      for (let i = 0; i < steps; i++) {
        step(world, random);
        world.compare();
      }
      for (const slot of [...world.reserved.keys()]) world.discard(slot);
      while (world.hand(1)) world.giveBack(world.kernel.length);
      world.giveBack(world.kernel.length);
      assert.equal(world.committed.size, 0, 'everything that was committed left');
      assert.equal(world.slots.free, world.size, 'and every slot is free');
    });
  }).timeout(LIVES_TIMEOUT_MS);
});
