// Frames and sends that cannot be: too short, too long, too many, on a device that is gone.
import assert from 'node:assert/strict';
import { plainPacketSuite } from '../helpers/packet-place';

const ENGINES = [
  ['copying', {}],
  ['a ring', { ring: { frames: 8, frameSize: 4096 } }],
  ['a ring of large frames', { ring: { frames: 8, frameSize: 128 * 1024 } }],
] as const;

for (const [title, params] of ENGINES) {
  plainPacketSuite(`frames that are refused, ${title}`, (getPlace) => {
    it('are shorter than a link header or longer than the device takes', () =>
      getPlace().runner.run('packet-refused', 'lengths', params));

    it('are longer than the MTU where the kernel writes the link header', () =>
      getPlace().runner.run('packet-refused', 'linklessLengths', params));

    it('do not include frames that are longer by a VLAN tag', () =>
      getPlace().runner.run('packet-refused', 'tagged', params));

    it('spoil none of the others of their call', () =>
      getPlace().runner.run('packet-refused', 'amongOthers', params));

    it('settle when the queue of the device drops', () =>
      getPlace().runner.run('packet-refused', 'droppingQueue', params));

    for (const trouble of ['down', 'deleted'] as const) {
      it(`are told of a device that is ${trouble}`, () =>
        getPlace().runner.run('packet-refused', 'deviceLost', { ...params, trouble }));
    }
  });
}

plainPacketSuite('a device that changes', (getPlace) => {
  it('refuses ring frames that were fine before, and sends those behind them', () =>
    getPlace().runner.run('packet-refused', 'smallerMtu', {}));

  it('refuses some ring frames of a commit, and sends the others', () =>
    getPlace().runner.run('packet-refused', 'smallerMtuBatch'));

  it('sends larger frames', () => getPlace().runner.run('packet-refused', 'largerMtu'));

  for (const trouble of ['down', 'deleted'] as const) {
    it(`is told to a listener when it is ${trouble}`, () =>
      getPlace().runner.run('packet-refused', 'listenerDeviceLost', { trouble }));
  }
});

for (const [title, params] of ENGINES.slice(0, 2)) {
  plainPacketSuite(`sends that wait, ${title}`, (getPlace) => {
    it('are refused beyond the limit, and not sent', () =>
      getPlace().runner.run('packet-queue', 'refuses', params));

    it('are refused to callbacks', () =>
      getPlace().runner.run('packet-queue', 'refusesCallbacks', params));

    it('wait for their turn where that was asked for', () =>
      getPlace().runner.run('packet-queue', 'waits', params));

    it('are cancelled by a signal', () =>
      getPlace().runner.run('packet-queue', 'cancelled', params));

    it('settle when the socket is closed', () =>
      getPlace().runner.run('packet-queue', 'closedFull', params));
  });
}

const NO_CAPABILITIES = ['setpriv', '--bounding-set', '-all', '--inh-caps', '-all'];

plainPacketSuite('errors of packet sockets', (getPlace) => {
  it('name an interface that there is not', () =>
    getPlace().runner.run('packet-errors', 'unknownInterface'));

  it('name the privilege that is missing', async () => {
    const sender = getPlace().startRunner(NO_CAPABILITIES);
    await sender.run('packet-errors', 'unprivileged');
    await sender.stop();
  });

  it('name options that are none', () => getPlace().runner.run('packet-errors', 'badOptions'));

  it('name arguments that are none', () =>
    getPlace().runner.run('packet-errors', 'wrongArguments'));

  for (const ring of [false, true]) {
    it(`say that the socket is closed, ${ring ? 'with' : 'without'} a ring`, () =>
      getPlace().runner.run('packet-errors', 'closedSocket', { ring }));
  }

  it('follow a signal, and disposal', () => getPlace().runner.run('packet-errors', 'ended'));
});

plainPacketSuite('packet sockets', (getPlace) => {
  it('take rings of many shapes', () => getPlace().runner.run('packet-errors', 'ringShapes'));

  it('have buffers of the sizes that were asked for', () =>
    getPlace().runner.run('packet-errors', 'bufferSizes'));

  it('are reported as they are: a ring, and no MSG_ZEROCOPY', async () => {
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
