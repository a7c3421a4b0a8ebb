// Datagram sockets of any kind that end with their test.
import type { EventEmitter } from 'node:events';

export interface Closable extends EventEmitter {
  close(callback: () => void): unknown;
}

/** For use in a suite: what is passed to the answer is closed after each test. */
export function ownedSockets(): <S extends Closable>(socket: S) => S {
  const open = new Set<Closable>();
  afterEach(async () => {
    const closed = [...open].map((socket) => {
      socket.on('error', () => undefined);
      return new Promise<void>((resolve) => socket.close(() => resolve()));
    });
    await Promise.all(closed);
  });
  return (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    return socket;
  };
}

/** Declares a pending test where raw sockets cannot be opened: false then. */
export function mayOpenRawSockets(): boolean {
  if (process.geteuid?.() === 0) return true;
  it('skipped: raw sockets need root (remedy: run as root, for instance with sudo)');
  return false;
}
