// Addresses of a rig are compared with what sockets tell, so they are written as Node writes them.
import assert from 'node:assert/strict';
import { SocketAddress } from 'node:net';
import { generateSides } from '../../scripts/rig/names';

describe('addresses of a rig', () => {
  it('are written as Node writes them', () => {
    for (let i = 0; i < 2_000; i++) {
      for (const { address4, address6 } of Object.values(generateSides('process'))) {
        assert.equal(new SocketAddress({ address: address4, family: 'ipv4' }).address, address4);
        assert.equal(new SocketAddress({ address: address6, family: 'ipv6' }).address, address6);
      }
    }
  });
});
