// The number of a port that was closed is not reused while records of the same wake-up may name it.
import assert from 'node:assert/strict';
import path from 'node:path';
import { isolated } from '../helpers/isolated';
import type { PortEvent } from '../scenarios/one-record-addon';

const ADDON = path.join(__dirname, '../scenarios/one-record-addon.js');

describe('a port closed by a callback of a wake-up that also names it', () => {
  it('passes its number on only after the wake-up', async () => {
    const { answer, stderr } = await isolated(
      async ({ zc, events, turn }) => {
        const bound = async (): Promise<import('../../lib/index').ZeroCopyUdpSocket> => {
          const socket = zc.createUdpSocket('udp4');
          socket.bind(0, '127.0.0.1');
          await events.once(socket, 'listening');
          return socket;
        };
        const pair = [await bound(), await bound()];
        const heard: string[] = [];
        const early = new Promise<import('../../lib/index').ZeroCopyUdpSocket>((resolve) => {
          for (const socket of pair) {
            socket.on('message', (message) => {
              heard.push(message.toString());
              // Whichever is first closes the other, whose record waits, and opens a third.
              for (const other of pair) if (other !== socket) other.close();
              const third = zc.createUdpSocket('udp4');
              third.bind(0, '127.0.0.1', () => resolve(third));
            });
          }
        });
        const sender = await bound();
        for (const socket of pair) sender.send('one', socket.address().port, '127.0.0.1');
        const third = await early;
        await turn();
        const fourth = await bound();
        for (const socket of [third, fourth]) {
          const arrived = events.once(socket, 'message');
          sender.send('later', socket.address().port, '127.0.0.1');
          heard.push(String((await arrived)[0]));
        }
        for (const socket of [...pair, third, fourth, sender]) {
          socket.removeAllListeners('message');
          if (socket.zeroCopy.state !== 'closed') socket.close();
        }
        return heard;
      },
      { env: { MSG_ZEROCOPY_ADDON: ADDON } },
    );
    assert.deepEqual(answer, ['one', 'later', 'later'], stderr);
    const log = JSON.parse(stderr) as PortEvent[];
    const [closed] = log.filter(({ what }) => what === 'closed');
    assert.ok(closed, stderr);
    const opened = log.filter(({ what }) => what === 'opened').map(({ port }) => port);
    assert.deepEqual(opened.slice(0, 3), [0, 1, 2]);
    // In the wake-up that closed it: the third socket's, and the record of the closed one behind it.
    const [, ...behind] = log.slice(log.indexOf(closed));
    assert.deepEqual(behind.slice(0, 2), [
      { what: 'opened', port: 3, turn: closed.turn },
      { what: 'named', port: closed.port, turn: closed.turn },
    ]);
    assert.equal(opened[4], closed.port, 'the number is used again');
  });
});
