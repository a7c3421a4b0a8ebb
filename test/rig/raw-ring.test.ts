// Packets that bring their own IP header and are produced in a raw socket's ring.
import { existsSync } from 'node:fs';
import { packetSuites, plainPacketSuite } from '../helpers/packet-place';

const FAMILIES = [4, 6] as const;

packetSuites('the ring of a raw socket', (getPlace) => {
  for (const family of FAMILIES) {
    it(`sends IPv${family} packets as they were, one by one and together`, () =>
      getPlace().runner.run('raw-ring-arrival', 'arrive', { family }));

    it(`keeps the order of IPv${family} packets sent alternately by the ring and by the kernel`, () =>
      getPlace().runner.run('raw-ring-arrival', 'mixedPaths', { family }));

    it(`follows a neighbour to its new link address, over IPv${family}`, () =>
      getPlace().runner.run('raw-ring-routes', 'movedNeighbour', { family }));

    it(`lets the kernel find and confirm a neighbour, over IPv${family}`, () =>
      getPlace().runner.run('raw-ring-routes', 'lostNeighbour', { family }));
  }
});

plainPacketSuite('the ring of a raw socket, and the kernel', (getPlace) => {
  for (const family of FAMILIES) {
    it(`calls the kernel once for IPv${family} packets of one callback, and at once for the first`, () =>
      getPlace().runner.run('raw-ring-turns', 'sharedCalls', { family }));

    it(`does not delay IPv${family} packets while a callback takes long`, () =>
      getPlace().runner.run('raw-ring-turns', 'longCallback', { family }));

    it(`passes IPv${family} packets to the kernel when the ring is full, or many wait`, () =>
      getPlace().runner.run('raw-ring-turns', 'fullRing', { family }));

    it(`keeps the order of waiting IPv${family} packets and those of the raw socket`, () =>
      getPlace().runner.run('raw-ring-turns', 'keptOrder', { family }));

    it(`sends waiting IPv${family} packets when it is closed`, () =>
      getPlace().runner.run('raw-ring-turns', 'closedAtOnce', { family }));

    it(`refuses an IPv${family} packet beyond the MTU as the raw socket does`, () =>
      getPlace().runner.run('raw-ring-routes', 'tooLong', { family }));

    it(`sends later packets to a neighbour's new address when it moves while IPv${family} packets wait`, () =>
      getPlace().runner.run('raw-ring-routes', 'movedWhileBusy', { family }));

    it(`follows routes that change: gateways, errors, narrow paths, over IPv${family}`, () =>
      getPlace().runner.run('raw-ring-routes', 'changedRoute', { family }));

    it(`leaves destinations such as this host and multicast groups to the kernel, over IPv${family}`, () =>
      getPlace().runner.run('raw-ring-routes', 'detours', { family }));

    it(`refuses IPv${family} packets beyond a lowered MTU at once`, () =>
      getPlace().runner.run('raw-ring-life', 'shrunkWhileSending', { family }));

    it(`outlives its device, over IPv${family}`, () =>
      getPlace().runner.run('raw-ring-life', 'deviceRemoved', { family }));

    it(`fails like the raw socket while the device is down, over IPv${family}`, () =>
      getPlace().runner.run('raw-ring-life', 'deviceDown', { family }));

    it(`closes when a slow device has released its IPv${family} packets`, () =>
      getPlace().runner.run('raw-ring-life', 'closedWhileBusy', { family }));

    it(`sends to the peer of a connected IPv${family} socket`, () =>
      getPlace().runner.run('raw-ring-arrival', 'connected', { family }));

    it(`does not change anything else that an IPv${family} socket sends`, () =>
      getPlace().runner.run('raw-ring-arrival', 'besideRing', { family }));

    it(`copies IPv${family} packets where zero copy is switched off`, () =>
      getPlace().runner.run('raw-ring-life', 'switchedOff', { family }));

    it(`keeps the slots of IPv${family} packets until the kernel has copied them`, () =>
      getPlace().runner.run('raw-ring-life', 'copiesThatWait', { family, then: 'wait' }));

    it(`fails those IPv${family} packets that still wait at close()`, () =>
      getPlace().runner.run('raw-ring-life', 'copiesThatWait', { family, then: 'close' }));

    if (existsSync('/dev/net/tun')) {
      it(`leaves a tunnel without a link header to the kernel, over IPv${family}`, () =>
        getPlace().runner.run('raw-ring-routes', 'tunnel', { family }));
    }
  }

  it('reports on channels and in metrics() when the kernel sends instead, and when that ends', () =>
    getPlace().runner.run('raw-ring-routes', 'announced', { family: 4 }));

  it('sends IPv4 options by two sockets at once', () =>
    getPlace().runner.run('raw-ring-headers', 'optionsOfTwo', { family: 4 }));

  it('sends fragments of IPv4 as they were given', () =>
    getPlace().runner.run('raw-ring-headers', 'givenFragments', { family: 4 }));

  it('sends destination options and fragments of IPv6', () =>
    getPlace().runner.run('raw-ring-headers', 'extensionHeaders', { family: 6 }));

  it('fills in the same fields of an IPv4 header as the kernel', () =>
    getPlace().runner.run('raw-ring-arrival', 'headerCompleted', { family: 4 }));
});
