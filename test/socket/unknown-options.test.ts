// Options that do not exist: a process warning names each once, with the nearest one that does.
import assert from 'node:assert/strict';
import { isolated } from '../helpers/isolated';

describe('an unknown option of zero copy', () => {
  it('is warned of once for each name, with the nearest one, and the others apply', async () => {
    const { answer, stderr } = await isolated(async ({ zc, net, warnings, turn }) => {
      const mistyped = { treshold: 4096, maxPendingBytes: 5000, pool: undefined } as object;
      const socket = zc.enableZeroCopy(new net.Socket(), mistyped);
      zc.enableZeroCopy(net.createServer(), mistyped);
      new zc.ZeroCopySocket({ zeroCopy: { callbackat: 'accept' } as object });
      zc.createServer({ zeroCopy: { zeroCopy: { threshold: 1 }, absent: undefined } as object });
      zc.createUdpSocket({ type: 'udp4', zeroCopy: { engines: 'copy' } as object }).close();
      const { stream } = socket.zeroCopy.thresholds;
      await turn();
      return { stream, warnings };
    });
    const warning = (text: string): object => ({ code: 'ZC_UNKNOWN_OPTION', message: text });
    assert.deepEqual(
      answer,
      {
        stream: 32 * 1024,
        warnings: [
          'The option "options.treshold" does not exist and is ignored. Did you mean "threshold"?',
          'The option "options.zeroCopy.callbackat" does not exist and is ignored. Did you mean "callbackAt"?',
          'The option "options.zeroCopy.zeroCopy" does not exist and is ignored. The options are engine, ' +
            'threshold, source, callbackAt, maxPendingBytes, maxPacingRate, lingerTimeoutMs, files, ' +
            'detectMutation, maxStagedBytes, pool',
          'The option "options.zeroCopy.engines" does not exist and is ignored. Did you mean "engine"?',
        ].map(warning),
      },
      stderr,
    );
  });

  it('is warned of beside `zeroCopy`, where it belongs, and `zeroCopy` in other letters', async () => {
    const { answer, stderr } = await isolated(async ({ zc, warnings, turn }) => {
      zc.createServer({ threshold: 1, zeroCopy: { maxStagedBytes: 1 }, noDelay: true } as object);
      new zc.ZeroCopySocket({ threshold: 1, zerocopy: {}, callbackAt: undefined } as object);
      const udp = { type: 'udp4', source: 'pool', maxPendingBytes: undefined } as object;
      zc.createUdpSocket(udp as { type: 'udp4' }).close();
      // What http clients pass on is theirs.
      new zc.ZeroCopySocket({ pool: 1, source: 'here', engine: 'v8', headers: {} } as object);
      await turn();
      return warnings;
    });
    const warning = (text: string): object => ({ code: 'ZC_UNKNOWN_OPTION', message: text });
    const expected = [
      'The option "options.threshold" is ignored. It belongs in "options.zeroCopy": { zeroCopy: { threshold: … } }',
      'The option "options.zerocopy" does not exist and is ignored. Did you mean "zeroCopy"?',
      'The option "options.source" is ignored. It belongs in "options.zeroCopy": { zeroCopy: { source: … } }',
    ];
    assert.deepEqual(answer, expected.map(warning), stderr);
  });

  it('is warned of where only connections have it', async () => {
    const { answer, stderr } = await isolated(async ({ zc, warnings, turn }) => {
      const own = { maxPendingBytes: 1, detectMutation: false };
      const all = { ...own, callbackAt: 'accept', maxStagedBytes: 1 };
      zc.createUdpSocket({ type: 'udp4', zeroCopy: all as object }).close();
      await turn();
      return warnings;
    });
    const message = (name: string): string =>
      `The option "options.zeroCopy.${name}" is ignored. Only connections have it. The options are ` +
      'engine, threshold, source, maxPendingBytes, maxPacingRate, detectMutation';
    const expected = [message('callbackAt'), message('maxStagedBytes')].map((text) => {
      return { code: 'ZC_UNKNOWN_OPTION', message: text };
    });
    assert.deepEqual(answer, expected, stderr);
  });

  it('does not warn of those that exist', async () => {
    const { answer, stderr } = await isolated(async ({ zc, net, warnings, turn }) => {
      const all = {
        ...{ engine: 'copy', threshold: 1, source: 'any', callbackAt: 'accept' },
        ...{ maxPendingBytes: 1, maxPacingRate: 1000, lingerTimeoutMs: 1, files: 'off' },
        ...{ detectMutation: false, maxStagedBytes: 1, pool: new zc.BufferPool({ bytes: 4096 }) },
      } as object;
      zc.enableZeroCopy(new net.Socket(), all);
      zc.enableZeroCopy(net.createServer());
      await turn();
      return warnings;
    });
    assert.deepEqual(answer, [], stderr);
  });
});

describe('an unknown option of a socket, a file or a pool', () => {
  it('is warned of, whether or not the socket can be opened', async () => {
    const { answer, stderr } = await isolated(async ({ zc, net, warnings, turn }) => {
      const closed = (open: () => { close(): unknown }): void => {
        try {
          open().close();
        } catch {
          // Without CAP_NET_RAW.
        }
      };
      const raw = { family: 4, protocol: 'icmp', headrIncluded: true } as const;
      closed(() => zc.createRawSocket(raw));
      const link = { interface: 'lo', qdiskBypass: true, ring: { frame: 8 } } as object;
      closed(() => zc.createPacketSocket(link as never));
      const udp = { type: 'udp4', groo: true } as const;
      closed(() => zc.createUdpSocket(udp));
      const range = { start: 0, ende: 1 } as const;
      const none = zc.sendFile(new net.Socket().destroy(), __filename, range);
      await none.catch(() => undefined);
      new zc.BufferPool({ bytes: 4096, hugePage: 'try' } as object);
      await turn();
      return warnings;
    });
    const warning = ([given, meant]: readonly string[]): object => ({
      code: 'ZC_UNKNOWN_OPTION',
      message: `The option "options.${given}" does not exist and is ignored. Did you mean "${meant}"?`,
    });
    const expected = [
      ['headrIncluded', 'headerIncluded'],
      ['qdiskBypass', 'qdiscBypass'],
      ['ring.frame', 'frames'],
      ['groo', 'gro'],
      ['ende', 'end'],
      ['hugePage', 'hugePages'],
    ];
    assert.deepEqual(answer, expected.map(warning), stderr);
  });
});

describe('an unknown option of one send', () => {
  it('is warned of once, and the datagram is sent by the others', async () => {
    const { answer, stderr } = await isolated(async ({ zc, net, warnings, turn }) => {
      const sink = zc.createUdpSocket('udp4');
      await new Promise<void>((resolve) => void sink.bind(0, '127.0.0.1', resolve));
      const { port } = sink.address();
      const arrived: string[] = [];
      const all = new Promise<void>((resolve) => {
        sink.on('message', (data) => {
          if (arrived.push(data.toString()) === 4) resolve();
        });
      });
      const socket = zc.createUdpSocket('udp4');
      const to = { port, address: '127.0.0.1' };
      const mistyped = { ...to, segmentsize: 2 } as object;
      await socket.send(Buffer.from('0'), mistyped);
      await socket.send(Buffer.from('1'), mistyped);
      await socket.sendMany([Buffer.from('2')], { ...to, Tos: 8 } as object);
      await socket.sendMany([{ data: Buffer.from('3'), ...to, adress: 'nowhere' } as never]);
      await all;
      sink.close();
      socket.close();
      const tcp = zc.enableZeroCopy(new net.Socket());
      void tcp.send([], { signals: undefined, sginal: 1 } as object).catch(() => undefined);
      tcp.destroy();
      await turn();
      return { arrived, warnings };
    });
    const warning = ([given, meant]: readonly string[]): object => ({
      code: 'ZC_UNKNOWN_OPTION',
      message: `The option "options.${given}" does not exist and is ignored. Did you mean "${meant}"?`,
    });
    const expected = [
      ['segmentsize', 'segmentSize'],
      ['Tos', 'tos'],
      ['adress', 'address'],
      ['sginal', 'signal'],
    ];
    assert.deepEqual(
      answer,
      { arrived: ['0', '1', '2', '3'], warnings: expected.map(warning) },
      stderr,
    );
  });
});
