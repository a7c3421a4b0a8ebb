// Writes on a socket that is not connected yet.
import type net from 'node:net';
import { closedBeforeConnection } from '../errors.js';
import * as nodePrivate from '../node/internals.js';
import type { Chunk } from './chunks.js';

/**
 * Calls `write` once the socket is connected, as core does (lib/net.js:_writeGeneric).
 * @param callback of the write: called with an error when the socket closes before
 */
export function afterConnect(
  socket: net.Socket,
  chunks: readonly Chunk[],
  callback: (error: Error) => void,
  write: () => void,
): void {
  const single = chunks.length === 1 ? chunks[0] : undefined;
  nodePrivate.setPendingData(socket, single?.chunk ?? chunks, single?.encoding ?? '');
  const onClose = (): void => {
    // The callback reports the release of memory: a later connection of this socket must not send it.
    socket.off('connect', onConnect);
    callback(closedBeforeConnection());
  };
  const onConnect = (): void => {
    socket.off('close', onClose);
    nodePrivate.setPendingData(socket, null, '');
    write();
  };
  socket.once('close', onClose);
  socket.once('connect', onConnect);
}
