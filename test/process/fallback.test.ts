// Where the addon cannot work the same API does, by Node's own writes, and says why. Nothing here knows
// which system it runs on: other systems are the ones that it is about.
import assert from 'node:assert/strict';
import { isolated } from '../helpers/isolated';

interface Outcome {
  readonly released: string[];
  readonly report: object;
  readonly arrived: boolean;
  readonly body: boolean;
  readonly http: boolean[];
  readonly upgraded: boolean;
  readonly engine: string;
  readonly state: string;
  readonly reason: string;
  readonly pending: number[];
  readonly zeroCopyBytes: number;
  readonly addon: string;
  readonly addonReason: string;
  readonly tcp: string[];
  readonly copy: string;
  readonly warnings: string[];
}

const SIZE = 1_000_000;

type Tools = Parameters<Parameters<typeof isolated>[0]>[0];

/** A stream and an http answer by the public API; what they and the capabilities said. */
async function program({ zc, net, events, warnings, turn }: Tools): Promise<Outcome> {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const http = require('node:http') as typeof import('node:http');
  const size = 1_000_000;
  const listening = async (server: import('node:net').Server): Promise<number> => {
    server.listen(0, '127.0.0.1');
    await events.once(server, 'listening');
    return (server.address() as import('node:net').AddressInfo).port;
  };

  const parts: Buffer[] = [];
  const server = net.createServer((far) => far.on('data', (part: Buffer) => parts.push(part)));
  const accepted = events.once(server, 'connection') as Promise<[import('node:net').Socket]>;
  const sender = zc.connect({ port: await listening(server), host: '127.0.0.1' });
  const released: string[] = [];
  const [far] = await accepted;
  const ended = events.once(far, 'end');
  sender.write(Buffer.alloc(size, 1), () => released.push('write'));
  const report = await sender.send([Buffer.alloc(size, 2), Buffer.from('tail')]);
  await sender.zeroCopy.flush();
  const { engine, state, reason = 'none', pendingBytes, pendingSends, stats } = sender.zeroCopy;
  sender.end(Buffer.alloc(size, 3), () => released.push('end'));
  await ended;
  const expected = [Buffer.alloc(size, 1), Buffer.alloc(size, 2), Buffer.from('tail')];
  const arrived = Buffer.concat(parts).equals(Buffer.concat([...expected, Buffer.alloc(size, 3)]));
  server.close();

  const answers: boolean[] = [];
  let upgraded = false;
  const web = zc.enableZeroCopy(
    http.createServer((request, response) => {
      upgraded = zc.isZeroCopy(request.socket);
      response.end(Buffer.alloc(size, 4), () => answers.push(true));
    }),
  );
  const port = await listening(web);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  let body = true;
  for (let i = 0; i < 3; i++) {
    const asked = http.get({ port, host: '127.0.0.1', agent });
    const [response] = (await events.once(asked, 'response')) as [
      import('node:http').IncomingMessage,
    ];
    const received: Buffer[] = [];
    response.on('data', (part: Buffer) => received.push(part));
    await events.once(response, 'end');
    body &&= Buffer.concat(received).equals(Buffer.alloc(size, 4));
  }
  agent.destroy();
  await new Promise((resolve) => web.close(resolve));
  await turn();
  const { addon, tcp } = zc.capabilities();
  return {
    released,
    report,
    arrived,
    body,
    http: answers,
    upgraded,
    engine,
    state,
    reason,
    pending: [pendingBytes, pendingSends],
    zeroCopyBytes: stats.zeroCopyBytes,
    addon: addon.support,
    addonReason: addon.reason ?? 'none',
    tcp: [tcp.msg_zerocopy.ipv4.support, tcp.msg_zerocopy.ipv6.support],
    copy: tcp.copy.support,
    warnings: warnings.map(({ code }) => code),
  };
}

/** The same whatever the reason. */
function assertWorks(
  outcome: Outcome | undefined,
  reason: string,
  stderr: string,
  expectedWarnings: readonly string[] = [],
): Outcome {
  assert.ok(outcome !== undefined, stderr);
  const { released, arrived, body, http, upgraded } = outcome;
  assert.deepEqual(
    { released, arrived, body, http, upgraded },
    {
      released: ['write', 'end'],
      arrived: true,
      body: true,
      http: [true, true, true],
      upgraded: true,
    },
  );
  assert.deepEqual(outcome.report, {
    bytes: SIZE + 4,
    zeroCopyBytes: 0,
    copiedBytes: SIZE + 4,
    kernelCopiedBytes: 0,
    unknownBytes: 0,
    engine: 'copy',
    reason,
  });
  const { engine, state, pending, zeroCopyBytes, copy, warnings } = outcome;
  assert.deepEqual(
    { engine, state, pending, zeroCopyBytes, copy, warnings, reason: outcome.reason },
    {
      engine: 'copy',
      state: 'unsupported',
      pending: [0, 0],
      zeroCopyBytes: 0,
      copy: 'yes',
      warnings: expectedWarnings,
      reason,
    },
  );
  return outcome;
}

describe('without the addon', () => {
  const cases = [
    {
      title: 'switched off',
      addon: 'off',
      why: /^addon-unavailable: MSG_ZEROCOPY_ADDON=off$/,
      warnings: [],
    },
    {
      title: 'named wrongly',
      addon: './nothing-of-that-name.node',
      why: /^addon-unavailable: .*(nothing-of-that-name|no MSG_ZEROCOPY on )/,
      warnings: ['ZC_ADDON'],
    },
  ];
  for (const { title, addon, why, warnings } of cases) {
    it(`everything works, with a reason, and a warning of a file that does not load: ${title}`, async () => {
      const env = { MSG_ZEROCOPY_ADDON: addon, MSG_ZEROCOPY_ENGINE: '' };
      const { answer, stderr } = await isolated<Outcome>(program, { env });
      const outcome = assertWorks(answer, 'addon-unavailable', stderr, warnings);
      assert.match(outcome.addonReason, why);
      assert.deepEqual([outcome.addon, ...outcome.tcp], ['no', 'no', 'no']);
    });
  }

  it('naming an engine does not make the API fail', async () => {
    const env = { MSG_ZEROCOPY_ADDON: 'off', MSG_ZEROCOPY_ENGINE: 'msg_zerocopy' };
    const { answer, stderr } = await isolated<Outcome>(program, { env });
    assertWorks(answer, 'addon-unavailable', stderr);
  });
});

describe('the environment variable MSG_ZEROCOPY_ENGINE', () => {
  it("switches zero copy off: 'copy'", async () => {
    const env = { MSG_ZEROCOPY_ENGINE: 'copy' };
    const { answer, stderr } = await isolated<Outcome>(program, { env });
    assertWorks(answer, 'disabled', stderr);
  });

  it('does not override an engine that the program names', async () => {
    const { answer, stderr } = await isolated<string>(
      ({ zc, net }) => {
        const { zeroCopy } = zc.enableZeroCopy(new net.Socket(), { engine: 'msg_zerocopy' });
        return String(zeroCopy.reason);
      },
      { env: { MSG_ZEROCOPY_ENGINE: 'copy', MSG_ZEROCOPY_ADDON: 'off' } },
    );
    assert.equal(answer, 'addon-unavailable', stderr);
  });

  it('with an unknown engine is a clear error, and nothing is upgraded', async () => {
    const { answer, stderr } = await isolated(
      ({ zc, net }) => {
        const socket = new net.Socket();
        try {
          zc.enableZeroCopy(socket);
        } catch (error) {
          const { code, message } = error as NodeJS.ErrnoException;
          return { code, message, upgraded: zc.isZeroCopy(socket) };
        }
        return undefined;
      },
      { env: { MSG_ZEROCOPY_ENGINE: 'nonsense' } },
    );
    assert.deepEqual(
      answer,
      {
        code: 'ERR_OUT_OF_RANGE',
        message:
          'The value of "MSG_ZEROCOPY_ENGINE" is out of range. It must be one of ' +
          "'auto', 'msg_zerocopy', 'io_uring', 'copy'. Received 'nonsense'",
        upgraded: false,
      },
      stderr,
    );
  });
});
