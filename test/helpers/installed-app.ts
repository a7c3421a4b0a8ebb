// A program that uses the installed package, however it was bundled: it sends known bytes to this
// process, overwrites them when they are released, and says what the package says of itself.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { countWrong } from '../../scripts/pattern';

const BYTES = 2 * 1024 * 1024;
const STREAM = 3;
const run = promisify(execFile);

// The port is taken from the environment: a single executable application has no file name before it.
const BODY = `
const { createCipheriv } = process.getBuiltinModule('node:crypto');
const key = Buffer.from('keystream of msg');
const table = createCipheriv('aes-128-ctr', key, key).update(Buffer.alloc(1048583));
for (let i = 0; i < table.length; i++) table[i] &= 0x7f;
const data = Buffer.alloc(${BYTES});
for (let i = 0; i < data.length; i++) data[i] = table[(${STREAM} * 7919 + i) % table.length];
const port = Number(process.env.APP_PORT);
const socket = zc.connect({ port, host: '127.0.0.1', zeroCopy: { engine: 'msg_zerocopy', threshold: 1 } });
socket.end(data, () => data.fill(0xee));
socket.on('close', async () => {
  const { support, reason = '' } = zc.capabilities().addon;
  const { zeroCopy } = await zc.diagnose();
  const { engine, stats } = socket.zeroCopy;
  const sends = stats.zeroCopySends;
  console.log(JSON.stringify({ addon: support, reason, diagnosed: zeroCopy, copied: sends === 0 }));
});
socket.resume();
`;

/** What a program that a test runs says at its end. */
export interface AppReport {
  readonly addon: string;
  readonly reason: string;
  /** What diagnose() says: zero copy can work. */
  readonly diagnosed: boolean;
  /** No send went zero-copy. */
  readonly copied: boolean;
}

/** Writes the program into a project, for `require` (app.js) and for `import` (app.mjs). */
export function writeApp(project: string): void {
  writeFileSync(path.join(project, 'app.js'), `const zc = require('msg-zerocopy');\n${BODY}`);
  writeFileSync(path.join(project, 'app.mjs'), `import * as zc from 'msg-zerocopy';\n${BODY}`);
}

/** Runs a program and checks every byte that it sends. */
export async function runApp(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<AppReport> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  let bytes = 0;
  let wrong = 0;
  server.on('connection', (socket) => {
    socket.on('data', (data) => {
      wrong += countWrong(data, STREAM, bytes);
      bytes += data.length;
    });
  });
  try {
    const [file = '', ...rest] = argv;
    const whole = { ...process.env, MSG_ZEROCOPY_ADDON: '', APP_PORT: String(port), ...env };
    const { stdout } = await run(file, rest, { env: whole });
    assert.deepEqual({ bytes, wrong }, { bytes: BYTES, wrong: 0 });
    return JSON.parse(stdout) as AppReport;
  } finally {
    server.close();
  }
}
