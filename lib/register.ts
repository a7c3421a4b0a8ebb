// `node --import msg-zerocopy/register app.js`, or --require: every server and every client connection of
// the process is upgraded, without changing the program. Importing this file once is enough.
//
// Node publishes servers on diagnostics channels. For clients its channel is no use: some versions of Node publish
// 'net.client.socket' from net.connect() only, and not from `new net.Socket().connect()`; later ones publish in the
// middle of connect(), just before they put Node's own `write` back. So this file wraps `connect` of net.Socket's
// prototype, which also works beside other wrappers.
import { subscribe } from 'node:diagnostics_channel';
import { writeSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import { isMainThread, threadId } from 'node:worker_threads';
import { capabilities, enableZeroCopy, isZeroCopy, metrics } from './index.js';
import {
  environmentOptions,
  type EnvironmentOptions,
  unknownVariables,
} from './tcp/environment.js';
import { connectBy } from './tcp/overrides.js';
import { isEnabledServer } from './tcp/enable.js';
import { VERSION } from './version.js';

const REGISTERED = Symbol.for('msg-zerocopy.register');

/** How many sockets and servers were upgraded so far, and how many were left alone. */
const upgraded = { servers: 0, accepted: 0, clients: 0, tlsServers: 0, tlsClients: 0 };

function upgradeServer(server: net.Server, { options }: EnvironmentOptions): void {
  if (server instanceof tls.Server) upgraded.tlsServers++;
  else if (!isEnabledServer(server)) {
    // Otherwise the program has enabled zero copy itself, with its own options.
    enableZeroCopy(server, options);
    upgraded.servers++;
  }
}

// Connections of a server that listened before this file was loaded, or in a version of Node that does not publish
// listening servers (22.0). They are published after the 'connection' listeners, which may have written already.
function upgradeAccepted(socket: net.Socket, { options }: EnvironmentOptions): void {
  const { server } = socket as { server?: unknown };
  if (server instanceof tls.Server || socket instanceof tls.TLSSocket || isZeroCopy(socket)) return;
  enableZeroCopy(socket, options);
  upgraded.accepted++;
}

function watchServers(found: EnvironmentOptions): void {
  subscribe('tracing:net.server.listen:asyncStart', (message) =>
    upgradeServer((message as { server: net.Server }).server, found),
  );
  subscribe('net.server.socket', (message) =>
    upgradeAccepted((message as { socket: net.Socket }).socket, found),
  );
}

function watchClients({ options }: EnvironmentOptions): void {
  const { prototype } = net.Socket;
  const original = prototype.connect;
  const connect = function connect(this: net.Socket, ...args: unknown[]): net.Socket {
    if (this instanceof tls.TLSSocket) upgraded.tlsClients++;
    else if (this instanceof net.Socket && !isZeroCopy(this)) {
      enableZeroCopy(this, options);
      upgraded.clients++;
      // Not by the socket's own `connect`: another wrapper would see the connection twice.
      return connectBy(original, this, args);
    }
    return original.apply(this, args as Parameters<net.Socket['connect']>);
  };
  prototype.connect = connect as net.Socket['connect'];
}

// --- MSG_ZEROCOPY_LOG=1 ---------------------------------------------------------------------------

const STANDARD_ERROR = 2;

// Synchronously, so that process.exit() does not lose it.
function say(text: string): void {
  const thread = isMainThread ? '' : `, worker ${threadId}`;
  try {
    writeSync(
      STANDARD_ERROR,
      `msg-zerocopy ${VERSION} (process ${process.pid}${thread}): ${text}\n`,
    );
  } catch {
    // No reader, or not now: EPIPE, EAGAIN, EBADF.
  }
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

/** What will be upgraded, and by which engines. */
function sayAtStart({ include }: EnvironmentOptions): void {
  const { addon, tcp } = capabilities();
  const engines = [
    ...(tcp.io_uring.support === 'yes' ? ['io_uring'] : []),
    ...(tcp.msg_zerocopy.ipv4.support === 'yes' ? ['msg_zerocopy'] : []),
  ];
  const how =
    engines.length > 0
      ? `engines: ${engines.join(', ')}`
      : `everything is copied: ${addon.reason ?? tcp.msg_zerocopy.ipv4.reason ?? 'no engine'}`;
  const ends = upgradedEnds(include).join(' and ');
  if (isForFilesOnly(include)) say(`upgrades each ${ends} for files only, except TLS and http2`);
  else
    say(
      `upgrades each ${ends}${include.has('files') ? ' with its files' : ''}, except TLS and http2; ${how}`,
    );
}

/** What was upgraded, what not, and how the bytes travelled. */
function sayAtExit(): void {
  const { totals, fallbacks } = metrics();
  const reasons = Object.entries(fallbacks).map(
    ([reason, times]) => `${reason} ${count(times, 'time')}`,
  );
  const { servers, accepted, clients, tlsServers, tlsClients } = upgraded;
  say(
    `upgraded ${count(servers, 'server')}, ${count(accepted, 'connection')} of other servers and ` +
      `${count(clients, 'client')}; left alone ${count(tlsServers, 'TLS server')} and ` +
      `${count(tlsClients, 'TLS client')}; ${totals.zeroCopyBytes} bytes went zero-copy ` +
      `(${totals.kernelCopiedSends} of ${totals.zeroCopySends} sends copied by the kernel after all), ` +
      `${totals.copiedBytes} were copied; paused or refused: ${reasons.join(', ') || 'never'}`,
  );
}

// --------------------------------------------------------------------------------------------------

function isForFilesOnly(include: EnvironmentOptions['include']): boolean {
  return include.has('files') && include.size === 1;
}

function upgradedEnds(include: EnvironmentOptions['include']): readonly ('server' | 'client')[] {
  const ends = ['server', 'client'] as const;
  return isForFilesOnly(include) ? ends : ends.filter((end) => include.has(end));
}

function warn(message: string): void {
  process.emitWarning(message, { type: 'MsgZeroCopyWarning', code: 'ZC_REGISTER' });
}

/** Once: a worker has the variables of its process. */
function warnOfUnknown(): void {
  if (!isMainThread) return;
  for (const { name, nearest } of unknownVariables()) {
    warn(
      `The environment variable ${name} does not exist and is ignored. Did you mean ${nearest}?`,
    );
  }
}

function register(): void {
  warnOfUnknown();
  let found: EnvironmentOptions;
  try {
    found = environmentOptions();
  } catch (error) {
    // Stopping the program would be worse, and so would guessing what was meant.
    const { message } = error as Error;
    const remedy = 'Nothing is upgraded until you correct or unset this variable';
    warn(`${message}. ${remedy}; see "Without changing the program" in docs/guide.md`);
    return;
  }
  const ends = upgradedEnds(found.include);
  if (ends.includes('server')) watchServers(found);
  if (ends.includes('client')) watchClients(found);
  if (found.logs) {
    sayAtStart(found);
    process.on('exit', sayAtExit);
  }
}

// By --import and --require at once, by NODE_OPTIONS beside either, or by a second copy of this package.
if (!(REGISTERED in globalThis)) {
  Object.defineProperty(globalThis, REGISTERED, { value: true });
  register();
}
