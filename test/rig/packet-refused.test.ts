// Frames and sends that cannot be: too short, too long, too many, on a device that is gone.
import assert from 'node:assert/strict';
import { plainPacketSuite } from '../helpers/packet-place';

const ENGINES = [
  ['copying', {}],
  ['a ring', { ring: { frames: 8, frameSize: 4096 } }],
  ['a ring of large frames', { ring: { frames: 8, frameSize: 128 * 1024 } }],
] as const;

for (const [title, params] of ENGINES) {
  plainPacketSuite(`refused frames, ${title}`, (getPlace) => {
    it('are those shorter than a link header or longer than the device takes', () =>
      getPlace().runner.run('packet-refused', 'lengths', params));

    it('are those longer than the MTU where the kernel writes the link header', () =>
      getPlace().runner.run('packet-refused', 'linklessLengths', params));

    it('do not include frames that exceed the MTU by a VLAN tag', () =>
      getPlace().runner.run('packet-refused', 'tagged', params));

    it('do not affect the others of their call', () =>
      getPlace().runner.run('packet-refused', 'amongOthers', params));

    it('settle when the queue of the device drops', () =>
      getPlace().runner.run('packet-refused', 'droppingQueue', params));

    for (const trouble of ['down', 'deleted'] as const) {
      it(`report a device that is ${trouble}`, () =>
        getPlace().runner.run('packet-refused', 'deviceLost', { ...params, trouble }));
    }
  });
}

plainPacketSuite('a device that changes', (getPlace) => {
  it('refuses ring frames that it took before, and sends those behind them', () =>
    getPlace().runner.run('packet-refused', 'smallerMtu', {}));

  it('refuses some ring frames of a commit, and sends the others', () =>
    getPlace().runner.run('packet-refused', 'smallerMtuBatch'));

  it('sends larger frames', () => getPlace().runner.run('packet-refused', 'largerMtu'));

  for (const trouble of ['down', 'deleted'] as const) {
    it(`is reported to a listener when it is ${trouble}`, () =>
      getPlace().runner.run('packet-refused', 'listenerDeviceLost', { trouble }));
  }
});

for (const [title, params] of ENGINES.slice(0, 2)) {
  plainPacketSuite(`waiting sends, ${title}`, (getPlace) => {
    it('are refused beyond the limit, and not sent', () =>
      getPlace().runner.run('packet-queue', 'refuses', params));

    it('fail through their callbacks', () =>
      getPlace().runner.run('packet-queue', 'refusesCallbacks', params));

    it("wait for their turn with whenQueueFull: 'wait'", () =>
      getPlace().runner.run('packet-queue', 'waits', params));

    it('are cancelled by a signal', () =>
      getPlace().runner.run('packet-queue', 'cancelled', params));

    it('settle when the socket is closed', () =>
      getPlace().runner.run('packet-queue', 'closedFull', params));
  });
}

const NO_CAPABILITIES = ['setpriv', '--bounding-set', '-all', '--inh-caps', '-all'];

plainPacketSuite('errors of packet sockets', (getPlace) => {
  it('name a missing interface', () => getPlace().runner.run('packet-errors', 'unknownInterface'));

  it('name the missing privilege', async () => {
    const sender = getPlace().startRunner(NO_CAPABILITIES);
    await sender.run('packet-errors', 'unprivileged');
    await sender.stop();
  });

  it('name invalid options', () => getPlace().runner.run('packet-errors', 'badOptions'));

  it('name invalid arguments', () => getPlace().runner.run('packet-errors', 'wrongArguments'));

  for (const ring of [false, true]) {
    it(`say that the socket is closed, ${ring ? 'with' : 'without'} a ring`, () =>
      getPlace().runner.run('packet-errors', 'closedSocket', { ring }));
  }

  it('follow a signal, and disposal', () => getPlace().runner.run('packet-errors', 'ended'));
});

plainPacketSuite('packet sockets', (getPlace) => {
  it('accept rings of many shapes', () => getPlace().runner.run('packet-errors', 'ringShapes'));

  it('have buffers of the requested sizes', () =>
    getPlace().runner.run('packet-errors', 'bufferSizes'));

  it('report their capabilities: a ring, and no MSG_ZEROCOPY', async () => {
    const report = await getPlace().runner.run('packet-errors', 'reported');
    const { packet } = report as { packet: Record<string, { support: string; reason?: string }> };
    const support = Object.entries(packet).map(([name, one]) => [name, one.support]);
    assert.deepEqual(Object.fromEntries(support), {
      open: 'yes',
      tx_ring: 'yes',
      msg_zerocopy: 'no', // mainline Linux never merged it
      copy: 'yes',
    });
    assert.ok(packet['msg_zerocopy']?.reason, 'no reason');
  });
});
