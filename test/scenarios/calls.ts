// Counts what runs for a large write and for datagrams, in a process of its own: functions of this package,
// the files that contain them, and calls of the addon, as V8 counts them.
import { once } from 'node:events';
import http from 'node:http';
import inspector from 'node:inspector';
import net from 'node:net';
import { promisify } from 'node:util';
import { BufferPool, createUdpSocket, enableZeroCopy } from '../../lib/index';
import { loadNative, type Native } from '../../lib/native/binding';

const BODY = Buffer.alloc(256 * 1024, 'b');
const DATAGRAM = Buffer.alloc(1_400, 'd');
/** Sent in one turn: as many as one sendmmsg takes. */
const DATAGRAMS = 64;
const WARM_UP = 20;
const WRITES = 40;
const LOCAL = '127.0.0.1';

export interface Counted {
  /** Of the median write. */
  readonly functions: number;
  readonly files: number;
  readonly nativeCalls: number;
}

export interface Calls {
  readonly stream: Counted;
  /** Of a piece of a pool. */
  readonly pooled: Counted;
  readonly responses: Counted;
  readonly ringResponses: Counted;
  /** Of one datagram in a turn. */
  readonly datagram: Counted;
  /** Of 64 datagrams. */
  readonly datagrams: Counted;
}

// What ran in lib/ since counts were taken last.
function runIn(
  scripts: inspector.Profiler.TakePreciseCoverageReturnType['result'],
): Pick<Counted, 'functions' | 'files'> {
  let functions = 0;
  const files = new Set<string>();
  for (const { url, functions: all } of scripts) {
    if (!url.includes('/dist/lib/')) continue;
    for (const { ranges } of all) {
      const count = ranges[0]?.count ?? 0;
      functions += count;
      if (count > 0) files.add(url);
    }
  }
  return { functions, files: files.size };
}

/** Counts what runs in lib/ for the median of many writes: now and then one waits, or reads what the kernel says. */
async function countCalls(write: () => Promise<void>): Promise<Counted> {
  const { native } = loadNative() as { native: Native };
  for (let i = 0; i < WARM_UP; i++) await write();
  const session = new inspector.Session();
  session.connect();
  const post = promisify(session.post.bind(session)) as (
    method: string,
    params?: object,
  ) => Promise<unknown>;
  const real = { ...native };
  let calls = 0;
  for (const name of [
    'writeOne',
    'writeAnswer',
    'writeMany',
    'sendNow',
    'sendDatagrams',
    'arm',
    'reap',
  ] as const) {
    const call = real[name] as (...args: unknown[]) => unknown;
    const counting = (...args: unknown[]): unknown => {
      calls++;
      return call(...args);
    };
    Object.assign(native, { [name]: counting });
  }
  try {
    await post('Profiler.enable');
    await post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
    await post('Profiler.takePreciseCoverage');
    const writes: Counted[] = [];
    for (let i = 0; i < WRITES; i++) {
      calls = 0;
      await write();
      const { result } = (await post(
        'Profiler.takePreciseCoverage',
      )) as inspector.Profiler.TakePreciseCoverageReturnType;
      writes.push({ ...runIn(result), nativeCalls: calls });
    }
    writes.sort((a, b) => a.functions - b.functions);
    return writes[WRITES / 2] as Counted;
  } finally {
    Object.assign(native, real);
    session.disconnect();
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Writes to a peer that reads, without callbacks. */
async function stream(body: Buffer): Promise<Counted> {
  const server = net.createServer((far) => far.resume()).listen(0, LOCAL);
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const socket = enableZeroCopy(net.connect(port, LOCAL), {
    engine: 'msg_zerocopy',
    threshold: 65_536,
  });
  await once(socket, 'connect');
  const counted = await countCalls(async () => {
    socket.write(body);
    if (socket.writableLength > 0) await once(socket, 'drain');
  });
  socket.destroy();
  server.close();
  if (socket.zeroCopy.stats.zeroCopySends < WRITES) throw new Error('writes were copied');
  return counted;
}

/** Responses of http, one after the other. */
async function responses(engine: 'io_uring' | 'msg_zerocopy'): Promise<Counted> {
  const server = http.createServer((_request, response) => response.end(BODY));
  enableZeroCopy(server, { engine, threshold: 65_536 });
  server.listen(0, LOCAL);
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const client = net.connect(port, LOCAL);
  const ask = async (): Promise<void> => {
    client.write('GET / HTTP/1.1\r\nHost: here\r\n\r\n');
    let bytes = 0;
    while (bytes < BODY.length) {
      const [part] = (await once(client, 'data')) as [Buffer];
      bytes += part.length;
    }
    await turn();
  };
  const counted = await countCalls(ask);
  client.destroy();
  server.close();
  return counted;
}

/** `send(buffer, port, address, callback)`, so many times in one turn. */
async function datagrams(count: number): Promise<Counted> {
  const receiver = createUdpSocket('udp4');
  receiver.bind(0, LOCAL);
  await once(receiver, 'listening');
  const { port } = receiver.address();
  const socket = createUdpSocket('udp4');
  const counted = await countCalls(
    () =>
      new Promise((resolve) => {
        let left = count;
        for (let i = 0; i < count; i++)
          socket.send(DATAGRAM, port, LOCAL, () => --left === 0 && resolve());
      }),
  );
  socket.close();
  receiver.close();
  return counted;
}

void (async () => {
  const counted: Calls = {
    stream: await stream(BODY),
    responses: await responses('msg_zerocopy'),
    ringResponses: await responses('io_uring'),
    datagram: await datagrams(1),
    datagrams: await datagrams(DATAGRAMS),
    // Last: once there is a pool, every write asks for its pieces.
    pooled: await stream(new BufferPool().allocUnsafe(BODY.length)),
  };
  process.stdout.write(JSON.stringify(counted));
})();
