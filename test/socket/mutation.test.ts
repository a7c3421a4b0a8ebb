// detectMutation on TCP, by each engine: where the kernel copies after all, and where it does not.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { enableZeroCopy } from '../../lib/index';
import { dueWatches, type MutationWatch } from '../../lib/memory/mutation';
import { everywhere, uringEverywhere, type TcpPlace } from '../helpers/tcp-place';

const TITLES = {
  changed: 'finds a changed byte, and names who wrote it; warns once of a place',
  later: 'names the writer of what is sent in a later turn',
  methods: 'names the callers of send() and end()',
  detached: 'finds a detached buffer',
  handedBackLater: 'is silent about what the callback of a later write hands back',
  thrown: "destroys the stream with 'throw', and releases everything in order",
} as const;

function tests(engine: 'msg_zerocopy' | 'io_uring', getPlace: () => TcpPlace): void {
  const params = (): object => ({ to: getPlace().to(), zeroCopy: { engine } });
  for (const [scenario, title] of Object.entries(TITLES)) {
    it(title, async () => {
      // Warnings come once for a place and a process.
      const runner = getPlace().startRunner([], { NODE_NO_WARNINGS: '1' });
      await runner.run('mutation', scenario as keyof typeof TITLES, params() as never);
      await runner.stop();
    });
  }

  it('reports none of 2,000 writes that keep the rule', async () => {
    const answer = await getPlace().runner.run('mutation', 'clean', params() as never);
    assert.ok(answer.zeroCopySends > 100, `${answer.zeroCopySends} zero-copy sends`);
  });
}

everywhere('buffers changed too early', (getPlace) => tests('msg_zerocopy', getPlace));
uringEverywhere('buffers changed too early', (getPlace) => tests('io_uring', getPlace));

describe('the callback of a small write', () => {
  it('runs behind the comparison of memory that was released before it, of any connection', async () => {
    const server = net.createServer((socket) => socket.resume()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const socket = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
    await once(socket, 'connect');
    enableZeroCopy(socket, { detectMutation: 'warn' });
    const order: string[] = [];
    dueWatches.push({ compare: () => order.push('compared') } as unknown as MutationWatch);
    await new Promise<void>((resolve) => {
      socket.write('.', () => {
        order.push('called back');
        resolve();
      });
    });
    assert.deepEqual(order, ['compared', 'called back']);
    socket.destroy();
    server.close();
  });
});
