// As much of a Redis and of a PostgreSQL server as their clients need to store and to read back large
// values. They keep Node's own writes, and take requests apart byte by byte as the protocols say:
// https://redis.io/docs/latest/develop/reference/protocol-spec/
// https://www.postgresql.org/docs/current/protocol-message-formats.html
import net from 'node:net';

/** Takes one message off the front of what arrived; undefined while it is not complete. */
type Take<T> = (bytes: Buffer) => { readonly message: T; readonly length: number } | undefined;

function serve<T>(
  host: string,
  takes: () => Take<T>,
  answer: (message: T, socket: net.Socket, server: net.Server) => void,
): net.Server {
  const server = net.createServer((socket) => {
    const take = takes();
    let rest: Buffer = Buffer.alloc(0);
    socket.on('data', (bytes: Buffer) => {
      rest = Buffer.concat([rest, bytes]);
      for (let next = take(rest); next !== undefined; next = take(rest)) {
        rest = rest.subarray(next.length);
        answer(next.message, socket, server);
      }
    });
  });
  return server.listen(0, host);
}

// --- Redis: arrays of strings with their lengths in front -----------------------------------------

const NEWLINE = '\r\n';

function takeCommand(bytes: Buffer): ReturnType<Take<Buffer[]>> {
  let at = 0;
  const number = (sign: string): number | undefined => {
    const end = bytes.indexOf(NEWLINE, at);
    if (end < 0) return undefined;
    const line = bytes.toString('latin1', at, end);
    if (line[0] !== sign) throw new Error(`${line} where ${sign} was to come`);
    at = end + NEWLINE.length;
    return Number(line.slice(1));
  };
  const count = number('*');
  if (count === undefined) return undefined;
  const message: Buffer[] = [];
  for (let i = 0; i < count; i++) {
    const length = number('$');
    if (length === undefined || bytes.length < at + length + NEWLINE.length) return undefined;
    message.push(bytes.subarray(at, at + length));
    at += length + NEWLINE.length;
  }
  return { message, length: at };
}

/** Calls `stored` with each value that is set; emits 'quit' when the client is done. */
export function startRedis(host: string, stored: (value: Buffer) => void): net.Server {
  const values = new Map<string, Buffer>();
  return serve(
    host,
    () => takeCommand,
    ([name, key, value], socket, server) => {
      const command = String(name).toUpperCase();
      if (command === 'SET' && value !== undefined) {
        stored(value);
        values.set(String(key), Buffer.from(value));
        socket.write(`+OK${NEWLINE}`);
      } else if (command === 'GET') {
        const found = values.get(String(key)) as Buffer;
        socket.write(Buffer.concat([Buffer.from(`$${found.length}${NEWLINE}`), found, CRLF]));
        values.delete(String(key));
        if (values.size === 0) server.emit('quit');
      } else if (command === 'QUIT') {
        socket.end(`+OK${NEWLINE}`);
      } else {
        // INFO and CLIENT, with which clients introduce themselves.
        socket.write(command === 'INFO' ? `$0${NEWLINE}${NEWLINE}` : `+OK${NEWLINE}`);
      }
    },
  );
}

const CRLF = Buffer.from(NEWLINE);

// --- PostgreSQL: a letter and a length in front of each message, but the first ------------------------

const SSL_REQUEST = 80877103;
const BYTEA = 17;

interface FrontendMessage {
  readonly type: string;
  readonly body: Buffer;
}

function takeFrontend(): Take<FrontendMessage> {
  let started = false;
  return (bytes) => {
    const head = started ? 1 : 0;
    if (bytes.length < head + 4) return undefined;
    const length = head + bytes.readUInt32BE(head);
    if (bytes.length < length) return undefined;
    const body = bytes.subarray(head + 4, length);
    if (started)
      return { message: { type: String.fromCharCode(bytes[0] as number), body }, length };
    const ssl = body.readUInt32BE(0) === SSL_REQUEST;
    started = !ssl;
    return { message: { type: ssl ? 'ssl' : 'startup', body }, length };
  };
}

function backend(type: string, ...parts: readonly (Buffer | string)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part as string, 'latin1')));
  const head = Buffer.alloc(5);
  head.write(type, 'latin1');
  head.writeUInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

/** The only parameter of a Bind message: behind the names of portal and statement, and the formats. */
function parameterOf(bind: Buffer): Buffer {
  let at = bind.indexOf(0) + 1;
  at = bind.indexOf(0, at) + 1;
  const formats = bind.readInt16BE(at);
  at += 2 + 2 * formats + 2;
  const length = bind.readInt32BE(at);
  return bind.subarray(at + 4, at + 4 + length);
}

const READY = backend('Z', 'I');
const COLUMN = backend(
  'T',
  int16(1),
  'value\0',
  int32(0),
  int16(0),
  int32(BYTEA),
  int16(-1),
  int32(-1),
  int16(0),
);

/** Answers each query with its only parameter, as text; emits 'quit' when the client is done. */
export function startPostgres(host: string, bound: (value: Buffer) => void): net.Server {
  let value: Buffer = Buffer.alloc(0);
  const answers: Record<string, (socket: net.Socket, body: Buffer, server: net.Server) => void> = {
    ssl: (socket) => socket.write('N'),
    startup: (socket) => socket.write(Buffer.concat([backend('R', int32(0)), READY])),
    P: (socket) => socket.write(backend('1')),
    B: (socket, body) => {
      value = Buffer.from(parameterOf(body));
      bound(value);
      socket.write(backend('2'));
    },
    D: (socket) => socket.write(COLUMN),
    E: (socket) => {
      const text = `\\x${value.toString('hex')}`;
      socket.write(backend('D', int16(1), int32(text.length), text));
      socket.write(backend('C', 'SELECT 1\0'));
    },
    S: (socket) => socket.write(READY),
    X: (socket, _body, server) => {
      socket.end();
      server.emit('quit');
    },
  };
  return serve(host, takeFrontend, ({ type, body }, socket, server) => {
    const answer = answers[type];
    if (answer === undefined) throw new Error(`a message of type ${type}`);
    answer(socket, body, server);
  });
}
