// What connections of one route know of each other.
import assert from 'node:assert/strict';
import { Routes } from '../../../lib/policy/adaptive';

const MOST = 256;

describe('routes', () => {
  it('share what was learned among connections of one route only', () => {
    const routes = new Routes();
    const first = routes.of('a b');
    for (let i = 0; i < 8; i++) first.completed(true, 1_000);
    assert.equal(routes.of('a b').state, 'paused');
    assert.equal(routes.of('a c').state, 'active');
  });

  it('forget the least recently used route', () => {
    const routes = new Routes();
    const kept = routes.of('0');
    const lost = routes.of('1');
    for (let i = 2; i < MOST; i++) routes.of(`${i}`);
    assert.equal(routes.of('0'), kept);
    routes.of('one more');
    assert.equal(routes.of('0'), kept);
    assert.notEqual(routes.of('1'), lost);
  });
});
