// Upgrading a server: every connection accepted from now on is upgraded before the server's own
// listener sees it.
import type http from 'node:http';
import net from 'node:net';
import tls from 'node:tls';
import { channels, publish, warnOnce } from '../observe/diagnostics.js';
import type { Reason } from '../names.js';
import { resolveOptions, type ResolvedOptions, type ZeroCopyOptions } from '../send/options.js';
import { TLS_WARNING, upgradeAccepted } from './overrides.js';
import { fallbacks } from '../observe/aggregate.js';

/** A registered symbol: a second copy of this package configures the first through it. */
const BRAND = Symbol.for('msg-zerocopy.server');

interface Brand {
  configure(options: ZeroCopyOptions | undefined): void;
}

const HTTP2_WARNING =
  'Zero copy has no effect on an HTTP/2 server: Node frames HTTP/2 into memory of its own, and writes past the socket. ' +
  'Serve large bodies over HTTP/1.1, or terminate HTTP/2 in front of this server';

/** Whether a server's connections are upgraded, or kept as they are, by what its program said. */
export function isEnabledServer(server: net.Server): boolean {
  return BRAND in server;
}

/** As enableZeroCopy() of a server. @param name of the options, for errors */
export function enableOnServer(
  server: net.Server | http.Server,
  options: ZeroCopyOptions | undefined,
  name: 'options' | 'options.zeroCopy' = 'options',
): void {
  let resolved: ResolvedOptions = resolveOptions(options, name);
  // https.Server and http2's secure server are net.Servers whose 'connection' brings raw sockets.
  if (server instanceof tls.Server) {
    warnOnce('ZC_TLS', TLS_WARNING);
    leaveAlone(server, 'tls');
    return;
  }
  if ('updateSettings' in server) warnOnce('ZC_HTTP2', HTTP2_WARNING);
  // Bun's http.Server writes by itself, past any socket.
  if (!(server instanceof net.Server)) {
    leaveAlone(server, 'runtime-unsupported');
    return;
  }
  if (BRAND in server) {
    (server as unknown as { [BRAND]: Brand })[BRAND].configure(options);
    return;
  }
  const brand: Brand = {
    configure: (given) => {
      resolved = resolveOptions(given);
    },
  };
  Object.defineProperty(server, BRAND, { value: brand });
  server.prependListener('connection', (socket: net.Socket) => upgradeAccepted(socket, resolved));
}

function leaveAlone(server: object, reason: Reason): void {
  fallbacks.add(reason);
  if (channels.fallback.hasSubscribers) publish(channels.fallback, { server, reason });
}
