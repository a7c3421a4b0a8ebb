// What stands in the ring's table, and for how long: with a table of the test's that remembers.
import assert from 'node:assert/strict';
import { constants as osConstants } from 'node:os';
// eslint-disable-next-line @typescript-eslint/no-require-imports -- exports that can be replaced
import clock = require('../../lib/node/clock');
import { NO_SLOT, RegisteredMemory } from '../../lib/memory/registered-memory';

const KIB = 1024;
const MIB = 1024 * KIB;
const { ENOBUFS, ENOMEM, EINVAL } = osConstants.errno;

class FakeTable {
  readonly registered = new Map<number, ArrayBuffer>();
  /** Whole pages of each; what is detached stays pinned. */
  readonly #pinned = new Map<number, number>();
  /** What registerMemory() answers instead, while it is set. */
  error: number | undefined;
  calls = 0;
  #next = 0;

  registerMemory(memory: ArrayBuffer): number {
    this.calls++;
    if (this.error !== undefined) return this.error;
    this.registered.set(this.#next, memory);
    this.#pinned.set(this.#next, (Math.ceil(memory.byteLength / 4096) + 1) * 4096);
    return this.#next++;
  }

  unregisterMemory(slot: number): number {
    assert.ok(this.registered.delete(slot), `slot ${slot} is not taken`);
    this.#pinned.delete(slot);
    return 0;
  }

  get bytes(): number {
    return [...this.#pinned.values()].reduce((sum, bytes) => sum + bytes, 0);
  }
}

class FakeAccount {
  pinned = 0;
  processBudget = 256 * MIB;
  readonly pageBytes = 4096;
  addRegistered(delta: number): void {
    this.pinned += delta;
  }
}

/** Full sends within some seconds that memory needs. */
const ENOUGH = 16;
/** Each look stands for four sends. */
const LOOKS = ENOUGH / 4;

// A timer of the subject's runs where it is stirred; unreferenced, and long.
describe('registered memory', () => {
  let table: FakeTable;
  let account: FakeAccount;
  let memory: RegisteredMemory;

  beforeEach(() => {
    table = new FakeTable();
    account = new FakeAccount();
    memory = new RegisteredMemory(table, account, () => 0);
  });

  afterEach(() => {
    const { bytes } = table;
    assert.deepEqual([memory.bytes, account.pinned], [bytes, bytes], 'the account agrees');
    // What the sweep finds idle ends its timer, too.
    for (let i = 0; i < 20; i++) memory.sweep();
    assert.deepEqual([memory.bytes, account.pinned, table.registered.size], [0, 0, 0]);
  });

  function send(view: Uint8Array, times: number): number {
    let slot = NO_SLOT;
    for (let i = 0; i < times; i++) slot = memory.slotFor(view);
    return slot;
  }

  function registered(bytes: number): Buffer {
    const view = Buffer.allocUnsafeSlow(bytes);
    assert.notEqual(send(view, LOOKS), NO_SLOT);
    return view;
  }

  it('is what was sent often enough, and is found from then on', () => {
    const view = Buffer.allocUnsafeSlow(MIB);
    assert.equal(send(view, LOOKS - 1), NO_SLOT);
    const slot = send(view, 1);
    assert.equal(table.registered.get(slot), view.buffer);
    assert.equal(send(view, 100), slot);
    assert.equal(send(view.subarray(4096, 4096 + 128 * KIB), 1), slot, 'a part of it');
    assert.equal(table.calls, 1);
  });

  it('is not looked at by writes that go on', () => {
    const view = Buffer.allocUnsafeSlow(MIB);
    for (let i = 0; i < 10 * ENOUGH; i++) assert.equal(memory.slotOf(view), NO_SLOT);
    assert.equal(table.calls, 0);
  });

  it('is looked at in one send of four', () => {
    let looks = 0;
    const drawn = [0, 0.25, 0.5, 0.99];
    memory = new RegisteredMemory(table, account, () => drawn[looks++ % 4] as number);
    const view = Buffer.allocUnsafeSlow(MIB);
    // The first of each four draws below a quarter.
    assert.equal(send(view, ENOUGH - 4), NO_SLOT);
    assert.notEqual(send(view, 1), NO_SLOT);
  });

  it('is found by the memory itself, not by where it is', () => {
    const view = registered(MIB);
    const buffer = view.buffer as ArrayBuffer;
    const moved = structuredClone(buffer, { transfer: [buffer] });
    assert.equal(memory.slotOf(view), NO_SLOT, 'it has no bytes any more');
    assert.equal(memory.slotOf(new Uint8Array(moved)), NO_SLOT, 'the same pages, another owner');
  });

  it('is not found by sends of less than 128 KiB', () => {
    const view = registered(MIB);
    assert.equal(memory.slotOf(view.subarray(0, 128 * KIB - 1)), NO_SLOT);
  });

  it('never changes its size', () => {
    type Growable = new (bytes: number, options: { maxByteLength: number }) => ArrayBuffer;
    const made = new (ArrayBuffer as unknown as Growable)(MIB, { maxByteLength: 2 * MIB });
    assert.equal(send(new Uint8Array(made), 10 * LOOKS), NO_SLOT);
    assert.equal(table.calls, 0);
  });

  it('must be sent that often within some seconds', () => {
    const view = Buffer.allocUnsafeSlow(MIB);
    for (let i = 0; i < 4 * LOOKS; i++) {
      send(view, 1);
      memory.sweep();
      memory.sweep();
    }
    assert.equal(table.calls, 0);
  });

  it('is given back when it was not sent from for five sweeps', () => {
    const idle = registered(MIB);
    const used = registered(MIB);
    for (let i = 0; i < 5; i++) {
      assert.equal(table.registered.size, 2, `sweep ${i}`);
      memory.slotOf(used);
      memory.sweep();
    }
    assert.equal(table.registered.size, 1);
    assert.notEqual(memory.slotOf(used), NO_SLOT);
    assert.equal(memory.slotOf(idle), NO_SLOT);
    assert.notEqual(send(idle, LOOKS), NO_SLOT, 'and comes again');
  });

  it('takes a quarter of the budget, and what is idle makes room', () => {
    account.processBudget = 64 * MIB;
    // 16 MiB in pieces of a quarter of that at most.
    const views = Array.from({ length: 3 }, () => registered(4 * MIB - 8192));
    registered(2 * MIB);
    const late = Buffer.allocUnsafeSlow(3 * MIB);
    assert.equal(send(late, 4 * LOOKS), NO_SLOT, 'full');
    memory.sweep();
    memory.sweep();
    for (const view of views.slice(1)) memory.slotOf(view);
    assert.notEqual(send(late, LOOKS), NO_SLOT, 'of those that are idle');
    assert.equal(table.registered.size, 3);
    assert.ok(memory.bytes <= 16 * MIB);
  });

  it('goes when the budget shrinks below it', () => {
    registered(2 * MIB);
    registered(2 * MIB);
    account.processBudget = 8 * MIB;
    memory.sweep();
    assert.equal(table.registered.size, 0);
  });

  it('stays registered, and is counted, when the kernel could not give it back', () => {
    const view = registered(MIB);
    const real = table.unregisterMemory.bind(table);
    table.unregisterMemory = () => -ENOMEM;
    for (let i = 0; i < 8; i++) memory.sweep();
    assert.equal(account.pinned, MIB + 4096);
    table.unregisterMemory = real;
    memory.sweep();
    assert.equal(account.pinned, 0);
    assert.equal(memory.slotOf(view), NO_SLOT);
  });

  for (const error of [-ENOMEM, -ENOBUFS]) {
    it(`is tried again some sweeps after the kernel answered ${error}`, () => {
      table.error = error;
      const view = Buffer.allocUnsafeSlow(MIB);
      assert.equal(send(view, 10 * LOOKS), NO_SLOT);
      assert.equal(table.calls, 1);
      for (let i = 0; i < 5; i++) {
        assert.equal(send(view, 10 * LOOKS), NO_SLOT);
        memory.sweep();
      }
      assert.equal(table.calls, 1);
      table.error = undefined;
      assert.notEqual(send(view, LOOKS), NO_SLOT);
    });
  }

  it('is swept by a timer for as long as there is something to wait for', () => {
    const { setInterval: realSet, clearInterval: realClear } = clock;
    let tick: (() => void) | undefined;
    const timer = { unref: () => timer };
    const fakes = {
      setInterval: (sweep: () => void) => ((tick = sweep), timer),
      clearInterval: () => (tick = undefined),
    };
    const ticks = (most: number): number => {
      let count = 0;
      for (; tick !== undefined && count < most; count++) tick();
      return count;
    };
    Object.assign(clock, fakes);
    try {
      send(Buffer.allocUnsafeSlow(MIB), 1);
      assert.equal(ticks(10), 2, 'a candidate');
      const view = registered(MIB);
      assert.equal(ticks(10), 5, 'registered, and given back');
      table.error = -ENOMEM;
      send(view, LOOKS);
      for (let i = 0; i < 3; i++) {
        assert.equal(ticks(1), 1);
        send(view, LOOKS);
      }
      assert.ok(ticks(10) > 0, 'refused');
      table.error = undefined;
      assert.notEqual(send(view, LOOKS), NO_SLOT, 'the refusal is over');
      assert.equal(ticks(10), 5);
    } finally {
      Object.assign(clock, { setInterval: realSet, clearInterval: realClear });
    }
  });

  it('is not tried again when the kernel does not want this memory', () => {
    table.error = -EINVAL;
    const view = Buffer.allocUnsafeSlow(MIB);
    for (let i = 0; i < 12; i++) {
      assert.equal(send(view, 10 * LOOKS), NO_SLOT);
      memory.sweep();
    }
    assert.equal(table.calls, 1);
    table.error = undefined;
    registered(MIB);
  });
});
