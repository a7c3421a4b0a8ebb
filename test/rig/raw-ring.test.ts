// Packets that bring their own IP header and are produced in a raw socket's ring.
import { existsSync } from 'node:fs';
import { packetSuites, plainPacketSuite } from '../helpers/packet-place';

const FAMILIES = [4, 6] as const;

packetSuites('the ring of a raw socket', (getPlace) => {
  for (const family of FAMILIES) {
    it(`sends IPv${family} packets as they were, one by one and together`, () =>
      getPlace().runner.run('raw-ring-arrival', 'arrive', { family }));

    it(`keeps the order of IPv${family} packets that go by it and by the kernel in turn`, () =>
      getPlace().runner.run('raw-ring-arrival', 'mixedPaths', { family }));

    it(`sends to where a neighbour is that has moved, over IPv${family}`, () =>
      getPlace().runner.run('raw-ring-routes', 'movedNeighbour', { family }));

    it(`lets the kernel find and confirm a neighbour, over IPv${family}`, () =>
      getPlace().runner.run('raw-ring-routes', 'lostNeighbour', { family }));
  }
});

plainPacketSuite('the ring of a raw socket, and the kernel', (getPlace) => {
  for (const family of FAMILIES) {
    it(`calls the kernel once for IPv${family} packets of one callback, and at once for the first`, () =>
      getPlace().runner.run('raw-ring-turns', 'sharedCalls', { family }));

    it(`holds up no IPv${family} packet where a callback takes long`, () =>
      getPlace().runner.run('raw-ring-turns', 'longCallback', { family }));

    it(`hands IPv${family} packets over when the ring is full, or many wait`, () =>
      getPlace().runner.run('raw-ring-turns', 'fullRing', { family }));

    it(`keeps the order of IPv${family} packets that wait and those of the raw socket`, () =>
      getPlace().runner.run('raw-ring-turns', 'keptOrder', { family }));

    it(`sends IPv${family} packets that wait when it is closed`, () =>
      getPlace().runner.run('raw-ring-turns', 'closedAtOnce', { family }));

    it(`refuses an IPv${family} packet beyond the MTU as the raw socket does`, () =>
      getPlace().runner.run('raw-ring-routes', 'tooLong', { family }));

    it(`sends what follows to a neighbour that moves while IPv${family} packets wait`, () =>
      getPlace().runner.run('raw-ring-routes', 'movedWhileBusy', { family }));

    it(`follows routes that change: gateways, errors, narrow paths, over IPv${family}`, () =>
      getPlace().runner.run('raw-ring-routes', 'changedRoute', { family }));

    it(`leaves this host, groups and other destinations to the kernel, over IPv${family}`, () =>
      getPlace().runner.run('raw-ring-routes', 'detours', { family }));

    it(`refuses IPv${family} packets that no longer fit, from the moment when the MTU is lowered`, () =>
      getPlace().runner.run('raw-ring-life', 'shrunkWhileSending', { family }));

    it(`outlives its device, over IPv${family}`, () =>
      getPlace().runner.run('raw-ring-life', 'deviceRemoved', { family }));

    it(`fails as the raw socket while the device is down, over IPv${family}`, () =>
      getPlace().runner.run('raw-ring-life', 'deviceDown', { family }));

    it(`closes when a slow device has let go of its IPv${family} packets`, () =>
      getPlace().runner.run('raw-ring-life', 'closedWhileBusy', { family }));

    it(`sends to the peer of a connected IPv${family} socket`, () =>
      getPlace().runner.run('raw-ring-arrival', 'connected', { family }));

    it(`leaves everything else that an IPv${family} socket sends as it is`, () =>
      getPlace().runner.run('raw-ring-arrival', 'besideRing', { family }));

    it(`copies IPv${family} packets where zero copy is switched off`, () =>
      getPlace().runner.run('raw-ring-life', 'switchedOff', { family }));

    it(`keeps IPv${family} packets that wait for the kernel to copy them where they are`, () =>
      getPlace().runner.run('raw-ring-life', 'copiesThatWait', { family, then: 'wait' }));

    it(`fails those IPv${family} packets that still wait at close()`, () =>
      getPlace().runner.run('raw-ring-life', 'copiesThatWait', { family, then: 'close' }));

    if (existsSync('/dev/net/tun')) {
      it(`leaves a tunnel without a link header to the kernel, over IPv${family}`, () =>
        getPlace().runner.run('raw-ring-routes', 'tunnel', { family }));
    }
  }

  it('reports on channels and in metrics() when the kernel takes over, and when that ends', () =>
    getPlace().runner.run('raw-ring-routes', 'announced', { family: 4 }));

  it('sends IPv4 options by two sockets at once', () =>
    getPlace().runner.run('raw-ring-headers', 'optionsOfTwo', { family: 4 }));

  it('sends fragments of IPv4 as they were given', () =>
    getPlace().runner.run('raw-ring-headers', 'givenFragments', { family: 4 }));

  it('sends destination options and fragments of IPv6', () =>
    getPlace().runner.run('raw-ring-headers', 'extensionHeaders', { family: 6 }));

  it('fills in what the kernel would of an IPv4 header', () =>
    getPlace().runner.run('raw-ring-arrival', 'headerCompleted', { family: 4 }));
});
