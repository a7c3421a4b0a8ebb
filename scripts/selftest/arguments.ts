// The command line of `msg-zerocopy selftest`.
import net from 'node:net';
import { readCommandLine, UsageError } from '../command-line';
import { type PlaceName, PLACES } from '../place';
import { DESCRIPTION_BYTES } from './message';
import { FAMILIES, type Family, isCorkable, type Mode, MODES, type Wish } from './trial';

export const USAGE = `usage: msg-zerocopy selftest [4|6] [MODE] [options]

Sends known data from sockets of this package, and checks every byte at the receiver. Overwrites every
buffer the moment it is released, and compares the kernel's completions with the sends.

MODE  tcp, udp, raw, raw_hdrincl, packet, packet_dgram, or all (default): every mode, copied and
      zero-copy, tcp and udp also corked and mixed, with a table at the end
4|6   only this family; both if not given

  -z          ask for zero copy; with 'all': only the runs that do
  -c N        write each message in N pieces, corked (tcp, udp)
  -m          mixed: copy every other piece (with -z and -c)
  -s BYTES    size of a message (default: what fits into the device's MTU, at most 65435)
  -t SECONDS  length of a run (default: 1; each run of 'all': 0.3)
  -i PLACE    loopback (default); veth: two namespaces and a veth pair; rig: the same with real
              zero copy (see npm run rig). veth and rig need root
  -D ADDRESS  send to another host, where 'selftest MODE -r' receives; completions are checked
              here, what arrived is checked there
  -r          receive one run from another host, say what arrived, and end when it is over
  --bind ADDRESS  with -r: where to receive (default: loopback)
  -p PORT     the receiver's port (default: any free one; with -D and -r 8000)
  -v          print more

Printed: tx, sends; txc, completions of the zero-copy ones; zc, whether the kernel says that it did
not copy (y, n, part; ?: it does not say, as of a ring); rx, what arrived.

exit status: 0 everything is right; 1 something was lost, wrong or unaccounted for; 2 usage; 3 nothing could
run here, for instance without CAP_NET_RAW (raw and packet modes); 4 everything was copied although
zero copy was asked for in tcp or udp, over the rig or to another host (loopback and veth always copy)`;

export interface Arguments extends Wish {
  readonly help: boolean;
  readonly verbose: boolean;
  readonly place: PlaceName;
  /** Send to this host. */
  readonly destination?: string;
  /** Receive from another host, at this address. */
  readonly bind?: string;
  readonly port?: number;
}

const CORK_PIECES = { least: 2, most: 64 };
const MOST_BYTES = 16 * 1024 * 1024;
const MOST_SECONDS = 3600;
const MOST_PORT = 65_535;
const LOOPBACK: Readonly<Record<Family, string>> = { 4: '127.0.0.1', 6: '::1' };

const OPTIONS = {
  4: { type: 'boolean', short: '4' },
  6: { type: 'boolean', short: '6' },
  zerocopy: { type: 'boolean', short: 'z' },
  cork: { type: 'string', short: 'c' },
  mixed: { type: 'boolean', short: 'm' },
  size: { type: 'string', short: 's' },
  time: { type: 'string', short: 't' },
  place: { type: 'string', short: 'i' },
  destination: { type: 'string', short: 'D' },
  port: { type: 'string', short: 'p' },
  receive: { type: 'boolean', short: 'r' },
  bind: { type: 'string' },
  verbose: { type: 'boolean', short: 'v' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** Reads a command line. Throws: UsageError. */
export function parse(argv: readonly string[]): Arguments {
  const { values, positionals } = readCommandLine({
    args: [...argv],
    options: OPTIONS,
    allowPositionals: true,
  });
  const { family, mode } = readPositionals(positionals, values);
  const cork = whole('-c', values.cork, CORK_PIECES.least, CORK_PIECES.most);
  const bytes = whole('-s', values.size, DESCRIPTION_BYTES, MOST_BYTES);
  const seconds = duration(values.time);
  const port = whole('-p', values.port, 0, MOST_PORT);
  const place = oneOf('-i', values.place ?? 'loopback', PLACES);
  const { destination } = values;
  const receive = values.receive === true;
  if (values.bind !== undefined && !receive) throw new UsageError('--bind needs -r');
  const here = addressed(destination ?? values.bind, family);
  const given: Arguments = {
    help: values.help === true,
    verbose: values.verbose === true,
    mode,
    families: here === undefined ? FAMILIES : [here],
    zeroCopy: values.zerocopy === true,
    mixed: values.mixed === true,
    place,
    ...(cork === undefined ? {} : { cork }),
    ...(bytes === undefined ? {} : { bytes }),
    ...(seconds === undefined ? {} : { seconds }),
    ...(port === undefined ? {} : { port }),
    ...(destination === undefined ? {} : { destination }),
    ...(receive ? { bind: values.bind ?? LOOPBACK[here ?? 4] } : {}),
  };
  if (!given.help) check(given, values.place);
  return given;
}

function readPositionals(
  positionals: readonly string[],
  flags: { readonly 4?: boolean; readonly 6?: boolean },
): { family: Family | undefined; mode: Mode | 'all' } {
  const families = new Set<Family>(FAMILIES.filter((family) => flags[family] === true));
  const modes: string[] = [];
  for (const word of positionals) {
    if (word === '4' || word === '6') families.add(Number(word) as Family);
    else modes.push(word);
  }
  if (families.size > 1) throw new UsageError('give 4 or 6, or neither for both');
  if (modes.length > 1) throw new UsageError(`one mode at a time, not '${modes.join(' ')}'`);
  const mode = oneOf('the mode', modes[0] ?? 'all', [...MODES, 'all'] as const);
  return { family: [...families][0], mode };
}

function addressed(address: string | undefined, family: Family | undefined): Family | undefined {
  if (address === undefined) return family;
  const kind = net.isIP(address);
  if (kind === 0) throw new UsageError(`'${address}' is not an IP address`);
  if (family !== undefined && family !== kind) {
    throw new UsageError(`'${address}' is not an IPv${family} address`);
  }
  return kind as Family;
}

function check(given: Arguments, place: string | undefined): void {
  const { mode, cork, mixed, zeroCopy, destination, bind } = given;
  if (cork !== undefined && (mode === 'all' || !isCorkable(mode))) {
    throw new UsageError('-c: only tcp and udp can be corked');
  }
  if (cork !== undefined && given.bytes !== undefined && cork > given.bytes) {
    throw new UsageError(`-c: ${given.bytes} bytes cannot be written in ${cork} pieces`);
  }
  if (mixed && (cork === undefined || !zeroCopy)) throw new UsageError('-m needs -z and -c');
  if (destination === undefined && bind === undefined) return;
  if (destination !== undefined && bind !== undefined) {
    throw new UsageError('-D sends and -r receives: give one of them (-r takes --bind ADDRESS)');
  }
  if (mode === 'all') throw new UsageError('-D and -r need one mode, not all');
  if (place !== undefined) throw new UsageError('-i cannot be used with -D or -r');
  if (destination !== undefined && given.port === 0)
    throw new UsageError('-p must be 1 or more with -D');
}

function oneOf<T extends string>(what: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((item) => item === value);
  if (found !== undefined) return found;
  throw new UsageError(`${what} must be one of ${allowed.join(', ')}, not '${value}'`);
}

function whole(
  option: string,
  text: string | undefined,
  least: number,
  most: number,
): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  throw new UsageError(`${option} must be a whole number, ${least} to ${most}, not '${text}'`);
}

function duration(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = /^(\d+(\.\d*)?|\.\d+)$/.test(text) ? Number(text) : NaN;
  if (value > 0 && value <= MOST_SECONDS) return value;
  throw new UsageError(
    `-t must be a number of seconds, more than 0 and at most ${MOST_SECONDS}, not '${text}'`,
  );
}
