// Notices when another process is about to get a socket's descriptor while this one keeps it: as a standard stream of a
// child, or by a message with { keepOpen: true }. child_process takes the handle itself, past every method of the
// socket, so its two functions that pass handles are wrapped, from the first upgrade on. Descriptors that an addon,
// spawnSync() or fs passes on by number are not noticed (native/node/reactor.cc refuses a descriptor that was made
// blocking).
import { ChildProcess } from 'node:child_process';
import net from 'node:net';
import { runningChildren } from '../node/internals.js';
import { warmSocket } from '../send/idle-ports.js';
import { submitQueued } from './shared-calls.js';

interface Shared {
  /** Another process is about to get the descriptor. Must not run user code. */
  share(): void;
}

type Find = (socket: net.Socket) => Shared | undefined;

let find: Find | undefined;

/** Notifies sockets before another process gets their descriptor. @param upgradeOf finds the upgrade of a socket */
export function watchSharing(upgradeOf: Find): void {
  if (find !== undefined) return;
  find = upgradeOf;
  watch();
}

// What another process gets: a socket, a descriptor's number, or something else that child_process takes.
function tell(given: unknown): void {
  const descriptor = typeof given === 'number' ? given : (given as { fd?: unknown } | null)?.fd;
  const socket = typeof descriptor === 'number' ? warmSocket(descriptor) : given;
  if (socket instanceof net.Socket) find?.(socket)?.share();
}

interface Sender {
  send?: unknown;
}

interface Spawner extends Sender {
  spawn(options: { readonly stdio?: unknown }): unknown;
}

function watch(): void {
  const prototype = ChildProcess.prototype as unknown as Spawner;
  const original = prototype.spawn;
  prototype.spawn = function spawn(this: Spawner, options) {
    // A descriptor may be named by its number.
    submitQueued();
    tellStreams(options?.stdio);
    const result = original.call(this, options);
    wrapSend(this);
    return result;
  };
  wrapSend(process);
  for (const child of runningChildren()) wrapSend(child);
}

function tellStreams(stdio: unknown): void {
  if (stdio === 'inherit') stdio = [0, 1, 2];
  if (!Array.isArray(stdio)) return;
  for (const [at, stream] of stdio.entries()) tell(stream === 'inherit' ? at : stream);
}

// An own property of each process with a channel (lib/internal/child_process.js:setupChannel).
function wrapSend(sender: Sender): void {
  const original = sender.send;
  if (typeof original !== 'function') return;
  sender.send = function send(this: unknown, ...args: unknown[]): unknown {
    if (typeof args[1] === 'object' && args[1] !== null) tell(args[1]);
    return Reflect.apply(original, this, args);
  };
}
