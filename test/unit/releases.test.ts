// What a port keeps until its release, and how much of it is watched.
import assert from 'node:assert/strict';
import type { MutationWatch } from '../../lib/memory/mutation';
import type { Reactor } from '../../lib/native/reactor';
import { Releases, type PortHost } from '../../lib/send/releases';
import { Kept } from '../../lib/send/write';

function keptWatched(released: string[], name: string): Kept {
  const watch = { release: () => released.push(name) } as unknown as MutationWatch;
  return new Kept(undefined, watch, undefined);
}

describe('what a port keeps', () => {
  it('counts the watched writes among it until they are released', () => {
    const words = new Float64Array(32);
    const host = { socket: {} } as unknown as PortHost;
    const releases = new Releases({} as Reactor, 0, words, 0, 'msg_zerocopy', host);
    const released: string[] = [];
    const chunk = Buffer.alloc(1);
    releases.hold(0, chunk, keptWatched(released, 'a'));
    releases.hold(1, chunk, undefined);
    releases.hold(2, chunk, new Kept(undefined, undefined, undefined));
    releases.hold(3, chunk, keptWatched(released, 'b'));
    assert.deepEqual([releases.count, releases.watches], [4, 2]);
    releases.dropBelow(1);
    assert.deepEqual([releases.count, releases.watches, released], [3, 1, ['a']]);
    releases.dropBelow(3);
    assert.deepEqual([releases.count, releases.watches], [1, 1]);
    releases.dropBelow(4);
    assert.deepEqual([releases.count, releases.watches, released], [0, 0, ['a', 'b']]);
  });
});
