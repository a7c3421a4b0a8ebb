// Pins megabytes to a peer that does not read, hands the socket to another process that it starts, and
// has nothing more to do. Writes {pinned} and then {heir}, the other process's id. That one ends the
// connection with bytes of its own once it is told to go, which happens when this process is gone.
import { fork } from 'node:child_process';
import { connect } from '../../lib/index';
import { fillFrom } from '../../scripts/pattern';
import { argument, print } from '../helpers/program-side';
import { until } from '../../scripts/until';

export interface HandingArgument {
  readonly port: number;
  readonly address: string;
  readonly bytes: number;
  /** Further bytes, which the heir sends. */
  readonly more: number;
}

const given = argument<HandingArgument>();

function asHeir(): void {
  process.on('message', (_message, socket) => {
    const heir = socket as import('node:net').Socket;
    const last = Buffer.allocUnsafeSlow(given.more);
    fillFrom(last, heir.localPort as number, given.bytes);
    process.once('disconnect', () => heir.end(last));
    process.send?.('taken');
  });
}

function asOwner(): void {
  const zeroCopy = { engine: 'msg_zerocopy', threshold: 1 } as const;
  const socket = connect({ port: given.port, host: given.address, zeroCopy });
  socket.once('connect', () => {
    const data = Buffer.allocUnsafeSlow(given.bytes);
    fillFrom(data, socket.localPort as number, 0);
    socket.write(data);
    void until('the kernel holds it', () => socket.writableLength === 0)
      .then(() => print({ pinned: socket.zeroCopy.pendingBytes }))
      .then(() => {
        const heir = fork(__filename, [JSON.stringify(given)], {
          env: { ...process.env, HEIR: 'yes' },
          // The last to hold the pipes of this process would keep it from looking ended.
          stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
          detached: true,
        });
        heir.once('message', () => {
          print({ heir: heir.pid });
          heir.channel?.unref();
          heir.unref();
        });
        heir.send('socket', socket);
      });
  });
}

if (process.env['HEIR'] === 'yes') asHeir();
else asOwner();
