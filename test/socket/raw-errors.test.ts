// What raw sockets refuse, how they say it, and that the memory of what failed is the caller's again.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createRawSocket, type RawSocketOptions, type ZeroCopyRawSocket } from '../../lib/index';
import { isolated } from '../helpers/isolated';
import { OVERWRITTEN } from '../../scripts/pattern';
import { countDescriptors } from '../helpers/remains';
import { uncaughtDuring } from '../helpers/uncaught';
import { mayOpenRawSockets, ownedSockets } from '../helpers/owned-sockets';

const TYPE = 'ERR_INVALID_ARG_TYPE';
const RANGE = 'ERR_OUT_OF_RANGE';
const EXPERIMENTAL = 253; // RFC 3692

type Failure = NodeJS.ErrnoException & { sentDatagrams?: number };

/** How a call failed, at once or later. */
async function failureOf(call: () => unknown): Promise<Failure> {
  try {
    await call();
  } catch (error) {
    return error as Failure;
  }
  throw new assert.AssertionError({ message: 'the call did not fail', stackStartFn: failureOf });
}

describe('raw sockets without privileges', () => {
  it('are refused with EPERM, and the error says what is needed and how to grant it', async () => {
    const { answer, stderr } = await isolated(({ zc }) => {
      zc.capabilities(); // loads the addon while its file can be read
      if (process.geteuid?.() === 0) {
        process.setgroups?.([]);
        process.setgid?.(65_534);
        process.setuid?.(65_534);
      }
      try {
        zc.createRawSocket({ family: 4, protocol: 'icmp' });
        return {};
      } catch (error) {
        const { code, syscall, errno, message } = error as NodeJS.ErrnoException;
        return { code, syscall, errno, message, raw: zc.capabilities().raw };
      }
    });
    assert.ok(answer !== undefined, stderr);
    assert.deepEqual([answer.code, answer.syscall, answer.errno], ['EPERM', 'socket', -1]);
    assert.match(answer.message ?? '', /CAP_NET_RAW/);
    // setcap takes no symbolic link, and `node` often is one.
    assert.match(answer.message ?? '', /setcap cap_net_raw\+ep "\$\(readlink -f /);
    assert.equal(answer.raw?.open.support, 'no');
    assert.match(answer.raw?.open.reason ?? '', /CAP_NET_RAW|EPERM/);
  });
});

describe('raw sockets', () => {
  if (!mayOpenRawSockets()) return;

  const own = ownedSockets();

  function open(options: Partial<RawSocketOptions> = {}): ZeroCopyRawSocket {
    return own(createRawSocket({ family: 4, protocol: EXPERIMENTAL, ...options }));
  }

  it('refuse invalid options, and leave no descriptor behind', () => {
    open(); // what every socket shares is there from now on
    const before = countDescriptors();
    const bad: readonly [object, string][] = [
      [{ family: undefined }, TYPE],
      [{ family: '4' }, TYPE],
      [{ family: 5 }, RANGE],
      [{ protocol: undefined }, TYPE],
      [{ protocol: {} }, TYPE],
      [{ protocol: -1 }, RANGE],
      [{ protocol: 256 }, RANGE],
      [{ protocol: 1.5 }, RANGE],
      [{ protocol: NaN }, RANGE],
      [{ protocol: 'sctp' }, RANGE],
      [{ protocol: '' }, RANGE],
      [{ headerIncluded: 'yes' }, TYPE],
      [{ ring: true }, RANGE],
      [{ ring: 'yes', headerIncluded: true }, TYPE],
      [{ ring: { frames: 0 }, headerIncluded: true }, RANGE],
      [{ receiveTos: 1 }, TYPE],
      [{ packetInfo: 1 }, TYPE],
      [{ interface: {} }, TYPE],
      [{ recvBufferSize: -1 }, RANGE],
      [{ sendBufferSize: 'large' }, TYPE],
      [{ signal: {} }, TYPE],
      [{ maxQueuedBytes: -1 }, RANGE],
      [{ maxQueuedBytes: '1' }, TYPE],
      [{ whenQueueFull: 'drop' }, RANGE],
      [{ zeroCopy: 1 }, TYPE],
      [{ zeroCopy: { engine: 'tx_ring' } }, RANGE],
      [{ zeroCopy: { threshold: -1 } }, RANGE],
    ];
    for (const [options, code] of bad) {
      assert.throws(() => open(options), { code }, JSON.stringify(options));
    }
    for (const options of [undefined, null, 4, 'icmp']) {
      assert.throws(() => createRawSocket(options as never), { code: TYPE });
    }
    const text = { family: 'ipv4' } as never;
    assert.throws(() => open(text), /must be 4 or 6\. Received type string/);
    const ring = { headerIncluded: true, ring: 8 } as never;
    assert.throws(() => open(ring), /must be a boolean or an object\. Received type number/);
    assert.throws(() => open({ protocol: 0 }), { code: 'EPROTONOSUPPORT', syscall: 'socket' });
    assert.throws(() => open({ interface: 'no-such-device' }), {
      code: 'ENODEV',
      message: /no interface 'no-such-device'/,
    });
    assert.equal(countDescriptors(), before);
  });

  it('refuse to send what is not bytes, and send nothing of it', async () => {
    const socket = open();
    const address = '127.0.0.1';
    for (const data of ['text', 5, null, undefined, {}, ['text'], [Buffer.alloc(1), 5]]) {
      const failure = await failureOf(() => socket.send(data as never, { address }));
      assert.equal(failure.code, TYPE, JSON.stringify(data));
      const many = await failureOf(() => socket.sendMany([{ data, address }] as never));
      assert.equal(many.code, TYPE, JSON.stringify(data));
    }
    for (const list of ['text', undefined, Buffer.alloc(3), {}]) {
      assert.equal((await failureOf(() => socket.sendMany(list as never, {}))).code, TYPE);
    }
    assert.equal(socket.getSendQueueCount(), 0);
    assert.equal(socket.zeroCopy.stats.copiedBytes, 0);
  });

  it('refuse invalid options of a send', async () => {
    const socket = open();
    const data = Buffer.alloc(8);
    const address = '127.0.0.1';
    const bad: readonly [object, string][] = [
      [{ address: 5 }, TYPE],
      [{ address, tos: 256 }, RANGE],
      [{ address, tos: -1 }, RANGE],
      [{ address, tos: '0' }, TYPE],
      [{ address, source: 5 }, TYPE],
      [{ address, interface: {} }, TYPE],
      [{ address, signal: {} }, TYPE],
    ];
    for (const [options, code] of bad) {
      const failure = await failureOf(() => socket.send(data, options));
      assert.equal(failure.code, code, JSON.stringify(options));
    }
    const unknown = { address, interface: 'no-such-device' };
    const failure = await failureOf(() => socket.send(data, unknown));
    assert.ok(['ENODEV', RANGE].includes(failure.code ?? ''), failure.message);
    assert.equal(socket.getSendQueueCount(), 0);
  });

  it('refuse addresses of the other family and invalid ones', async () => {
    for (const [family, others] of [
      [4, ['::1', '::ffff:127.0.0.1', '', '127.0.0', '127.0.0.1:80']],
      [6, ['127.0.0.1', '', ':::', '::1/128']],
    ] as const) {
      const socket = open({ family });
      for (const address of others) {
        const failure = await failureOf(() => socket.send(Buffer.alloc(8), { address }));
        assert.ok(typeof failure.code === 'string', `${address}: ${failure.message}`);
        if (address === '') continue;
        const source = { address: family === 4 ? '127.0.0.1' : '::1', source: address };
        const refused = await failureOf(() => socket.send(Buffer.alloc(8), source));
        assert.ok(typeof refused.code === 'string', `${address}: ${refused.message}`);
      }
      assert.equal(socket.zeroCopy.stats.copiedBytes, 0);
    }
  });

  it('cannot send from a foreign source address', async () => {
    const socket = open();
    const options = { address: '127.0.0.1', source: '192.0.2.1' };
    const failure = await failureOf(() => socket.send(Buffer.alloc(8), options));
    assert.ok(
      ['EINVAL', 'EADDRNOTAVAIL', 'ENETUNREACH'].includes(failure.code ?? ''),
      failure.code,
    );
  });

  it('need a destination, by address or connect()', async () => {
    for (const family of [4, 6] as const) {
      const socket = open({ family });
      const data = Buffer.alloc(8);
      const failure = await failureOf(() => socket.send(data, {}));
      assert.ok(typeof failure.code === 'string', failure.message);
      const many = await failureOf(() => socket.sendMany([data]));
      assert.equal(many.code, failure.code);
      const told = await failureOf(
        () =>
          new Promise<void>((resolve, reject) => {
            socket.send(data, (error) => (error === null ? resolve() : reject(error)));
          }),
      );
      assert.equal(told.code, failure.code);
    }
  });

  it('release the memory of a datagram that is too large, with EMSGSIZE', async () => {
    for (const [family, address, most] of [
      [4, '127.0.0.1', 65_515],
      [6, '::1', 65_535],
    ] as const) {
      const socket = open({ family });
      const data = Buffer.alloc(most + 1, 1);
      const failure = await failureOf(() => socket.send(data, { address }));
      assert.deepEqual(
        [failure.code, failure.syscall, failure.sentDatagrams],
        ['EMSGSIZE', 'send', 0],
      );
      data.fill(OVERWRITTEN);
      const told = await new Promise<Failure | null>((resolve) => {
        socket.send([data], address, (error) => resolve(error));
      });
      assert.deepEqual([told?.code, told?.syscall], ['EMSGSIZE', 'send']);
      // The largest that fits: the socket goes on after a failure.
      assert.equal((await socket.send(data.subarray(1), { address })).bytes, most);
      assert.equal(socket.zeroCopy.pendingBytes, 0);
    }
  });

  it('count failures that no callback reports', async () => {
    const socket = open();
    let errors = 0;
    socket.on('error', () => errors++);
    socket.send(Buffer.alloc(65_516), '127.0.0.1');
    await socket.zeroCopy.flush();
    const stats = socket.zeroCopy.stats as unknown as Record<string, number>;
    assert.equal((stats['failedSends'] ?? 0) + errors, 1);
  });

  it('fail a send whose buffer was transferred before it was sent', async () => {
    const socket = open();
    const data = new Uint8Array(1000);
    const sent = socket.send(data, { address: '127.0.0.1' });
    structuredClone(data, { transfer: [data.buffer] });
    assert.equal((await failureOf(() => sent)).code, 'ERR_ZC_BUFFER_DETACHED');
    const gone = await failureOf(() => socket.send(data, { address: '127.0.0.1' }));
    assert.equal(gone.code, 'ERR_ZC_BUFFER_DETACHED');
  });

  it('fail payloads of sendMany() that were transferred before they were sent, and send the others', async () => {
    const socket = open();
    const data = Array.from({ length: 5 }, () => new Uint8Array(1000));
    const sent = socket.sendMany(data, { address: '127.0.0.1' });
    for (const index of [0, 3]) {
      const { buffer } = data[index] as Uint8Array;
      structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
    }
    const { code, sentDatagrams } = await failureOf(() => sent);
    assert.deepEqual([code, sentDatagrams], ['ERR_ZC_BUFFER_DETACHED', 3]);
    assert.deepEqual([socket.getSendQueueSize(), socket.getSendQueueCount()], [0, 0]);
    assert.equal(socket.zeroCopy.stats.copiedBytes, 3000);
  });

  it('report that a closed socket is closed', async () => {
    const socket = open();
    await new Promise<void>((resolve) => socket.close(resolve));
    const notRunning = { code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' };
    const data = Buffer.alloc(8);
    const failure = await failureOf(() => socket.send(data, { address: '127.0.0.1' }));
    assert.equal(failure.code, notRunning.code);
    const many = await failureOf(() => socket.sendMany([data], { address: '127.0.0.1' }));
    assert.equal(many.code, notRunning.code);
    const told = await failureOf(
      () => new Promise((_, reject) => socket.send(data, '127.0.0.1', reject)),
    );
    assert.equal(told.code, notRunning.code);
    assert.throws(() => socket.bind('127.0.0.1'), notRunning);
    assert.throws(() => socket.connect('127.0.0.1'), notRunning);
    // As node:dgram, which looks at the connection first.
    assert.throws(() => socket.disconnect(), { code: 'ERR_SOCKET_DGRAM_NOT_CONNECTED' });
    assert.throws(() => socket.address(), notRunning);
    assert.throws(() => socket.close(), notRunning);
    assert.equal(socket.zeroCopy.state, 'closed');
    await socket.zeroCopy.flush();
  });

  it('report addresses that cannot be bound as an error event', async () => {
    const socket = open();
    const failed = once(socket, 'error') as Promise<[Failure]>;
    socket.bind('192.0.2.1');
    const [error] = await failed;
    assert.deepEqual([error.code, error.syscall], ['EADDRNOTAVAIL', 'bind']);
  });

  it('bind only once', async () => {
    const socket = open();
    socket.bind('127.0.0.1');
    assert.throws(() => socket.bind('127.0.0.1'), { code: 'ERR_SOCKET_ALREADY_BOUND' });
    await once(socket, 'listening');
  });

  it('call all other callbacks when one throws', async () => {
    const socket = open();
    const told: number[] = [];
    const caught = await uncaughtDuring(async () => {
      for (let i = 0; i < 5; i++) {
        socket.send(Buffer.alloc(8), '127.0.0.1', () => {
          told.push(i);
          if (i % 2 === 0) throw new Error(`thrown by ${i}`);
        });
      }
      await socket.zeroCopy.flush();
      await new Promise((resolve) => setImmediate(resolve));
    });
    assert.deepEqual(told, [0, 1, 2, 3, 4]);
    const messages = caught.map((error) => (error as Error).message);
    assert.deepEqual(messages, ['thrown by 0', 'thrown by 2', 'thrown by 4']);
  });
});
