// What stands in the way of datagrams, set up by a scenario for the namespace that it runs in (the rig's
// sender, never the machine): a queue that stops, routes that refuse, a filter that drops. All of it
// goes with the namespace.
import { execFileSync, spawnSync } from 'node:child_process';

/** Moves one small packet every second or two: what is sent meanwhile stays in the queue. */
const STOPPED = ['rate', '8kbit', 'burst', '2000', 'limit', '64mb'];
const FLOWING = ['rate', '10gbit', 'burst', '512kb', 'limit', '64mb'];

/** The device's queue. */
export class SendQueue {
  constructor(readonly device: string) {}

  /** Holds what is sent from now on, also requests to the receiver. */
  stop(): void {
    this.#tc('replace', STOPPED);
  }

  /** Lets everything pass from the start; what is in the queue is dropped. */
  flow(): void {
    this.#tc('replace', FLOWING);
  }

  /** Lets everything go, as soon as one more packet is sent: Target.drained() does. */
  release(): void {
    this.#tc('change', FLOWING);
  }

  /** Drops what does not fit into `packets` behind the stop. */
  stopShort(packets: number): void {
    this.#tc('replace', [...STOPPED.slice(0, 4), 'limit', String(packets * 1500)]);
  }

  #tc(verb: string, parameters: readonly string[]): void {
    const queue = ['qdisc', verb, 'dev', this.device, 'root', 'tbf'];
    execFileSync('tc', [...queue, ...parameters]);
  }
}

/** Adds a route that refuses: `prohibit`, `blackhole`, `unreachable`. */
export function refuseRoute(kind: string, destination: string): void {
  const family = destination.includes(':') ? ['-6'] : [];
  execFileSync('ip', [...family, 'route', 'add', kind, destination]);
}

// nf_tables over netlink, because nft(8) is not everywhere: a table with a chain on the OUTPUT hook and
// one rule that drops what goes to the port. Source: include/uapi/linux/netfilter/nf_tables.h.
const FILTER_PROGRAM = `
import socket, struct, sys
def attr(kind, data):
    raw = struct.pack('=HH', len(data) + 4, kind) + data
    return raw + bytes(-len(raw) % 4)
def nest(kind, *attrs): return attr(kind | 0x8000, b''.join(attrs))
def be(kind, value): return attr(kind, struct.pack('>I', value))
def text(kind, value): return attr(kind, value.encode() + b'\\0')
def message(kind, flags, family, resource, *attrs):
    body = struct.pack('=BBH', family, 0, socket.htons(resource)) + b''.join(attrs)
    return struct.pack('=IHHII', len(body) + 16, kind, flags | 1, 1, 0) + body
def expression(name, *attrs): return nest(1, text(1, name), nest(2, *attrs))
NEW, INET, NFT = 0x404, 1, 10 << 8
port = struct.pack('>H', int(sys.argv[1]))
rule = nest(4,
    expression('payload', be(1, 1), be(2, 2), be(3, 2), be(4, 2)),
    expression('cmp', be(1, 1), be(2, 0), nest(3, attr(1, port))),
    expression('immediate', be(1, 0), nest(2, nest(2, be(1, 0)))))
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
netlink.bind((0, 0))
netlink.settimeout(5)
netlink.send(message(16, 0, 0, 10)
    + message(NFT | 0, NEW, INET, 0, text(1, 'tests'))
    + message(NFT | 3, NEW, INET, 0, text(1, 'tests'), text(3, 'out'),
              nest(4, be(1, 3), be(2, 0)), be(5, 1), text(7, 'filter'))
    + message(NFT | 6, NEW | 0x800, INET, 0, text(1, 'tests'), text(2, 'out'), rule)
    + message(17, 0, 0, 10))
acknowledged = 0
while acknowledged < 3:
    data = netlink.recv(65536)
    while data:
        length, kind = struct.unpack('=IH', data[:6])
        error = struct.unpack('=i', data[16:20])[0]
        if kind == 2 and error: sys.exit('nf_tables: errno %d' % -error)
        acknowledged += kind == 2
        data = data[(length + 3) & ~3:]
`;

/** Makes netfilter drop on OUTPUT what goes to `port`: sends there fail with EPERM. Answers why it cannot. */
export function denyPort(port: number): string | undefined {
  const argv = ['-c', FILTER_PROGRAM, String(port)];
  const { status, stderr, error } = spawnSync('python3', argv, { encoding: 'utf8' });
  if (status === 0) return undefined;
  return error?.message ?? stderr.trim();
}
