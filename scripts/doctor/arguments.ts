// The command line of `msg-zerocopy doctor`.
import net from 'node:net';
import { readCommandLine, UsageError } from '../command-line';

export const USAGE = `usage: msg-zerocopy doctor [HOST | HOST:PORT] [options]
       msg-zerocopy doctor --write-seccomp FILE

Says whether zero copy works here and on the path to HOST, why, and what to do about it. Checks the
kernel, limits, io_uring, containers, packet captures, the route to HOST and its device, and sends data
over a connection inside this process. Sends nothing to HOST.

HOST        a name or an address; with a port ([::1]:80 for IPv6) one TCP connection is opened and closed

  -p, --port N  the port, if it is not in HOST:PORT
  --json        print the result of diagnose() as JSON
  --write-seccomp FILE
                write a seccomp profile for containers that allows io_uring, and exit; an existing
                FILE is not overwritten
  -h, --help

verdicts: ok; note, worth knowing; LIMITED, zero copy works, but less of it; BLOCKED, everything is copied
remedies are commands for root; replace the words in capitals

exit status: 0 zero copy can work here; 1 it cannot: everything is copied; 2 usage, or HOST does not
resolve`;

export interface Arguments {
  readonly help: boolean;
  readonly json: boolean;
  /** Where to write the seccomp profile, instead of a diagnosis. */
  readonly writeSeccomp?: string;
  /** As diagnose() takes it. */
  readonly target?: string;
}

const OPTIONS = {
  port: { type: 'string', short: 'p' },
  json: { type: 'boolean' },
  'write-seccomp': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** Reads a command line. Throws: UsageError. */
export function parse(argv: readonly string[]): Arguments {
  const { values, positionals } = readCommandLine({
    args: [...argv],
    options: OPTIONS,
    allowPositionals: true,
  });
  const [host, ...more] = positionals;
  if (more.length > 0) throw new UsageError(`one host at a time, not '${positionals.join(' ')}'`);
  if (host === '') throw new UsageError('HOST is empty');
  if (values.port !== undefined && host === undefined) {
    throw new UsageError('--port needs a HOST');
  }
  const writeSeccomp = values['write-seccomp'];
  if (writeSeccomp !== undefined && (host !== undefined || values.json === true)) {
    throw new UsageError(
      '--write-seccomp writes a file and exits: it takes no other option and no host',
    );
  }
  if (writeSeccomp === '') throw new UsageError('--write-seccomp needs the name of a file');
  const target = host === undefined ? undefined : withPort(host, values.port);
  return {
    help: values.help === true,
    json: values.json === true,
    ...(writeSeccomp === undefined ? {} : { writeSeccomp }),
    ...(target === undefined ? {} : { target }),
  };
}

function withPort(host: string, port: string | undefined): string {
  if (port === undefined) return host;
  if (!/^\d+$/.test(port)) throw new UsageError(`--port must be a number, not '${port}'`);
  if (net.isIPv6(host)) return `[${host}]:${port}`;
  const isBare = net.isIPv4(host) || /^\[[^\]]*\]$/.test(host) || !host.includes(':');
  if (!isBare) throw new UsageError(`'${host}' has a port already`);
  return `${host}:${port}`;
}
