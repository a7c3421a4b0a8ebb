// A process that has no descriptor left when it first uses the package, and some later.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';

const LIBRARY = path.join(__dirname, '../../lib');

/** Opens a socket whose code was not loaded yet, first without a free descriptor, then with many. */
const PROGRAM = `
const fs = require('node:fs');
const { createUdpSocket } = require(process.argv[1] + '/index.js');
const { loadNative } = require(process.argv[1] + '/native/binding.js');
if (loadNative().native === undefined) throw new Error('no addon');
const held = [];
const reason = () => {
  let socket;
  try {
    socket = createUdpSocket('udp4');
  } catch (error) {
    return error.code;
  }
  socket.on('error', () => undefined);
  try {
    return socket.zeroCopy.reason ?? 'none';
  } finally {
    socket.close();
  }
};
try {
  for (;;) held.push(fs.openSync('/dev/null', 'r'));
} catch (error) {
  if (error.code !== 'EMFILE') throw error;
}
const without = reason();
for (const fd of held) fs.closeSync(fd);
fs.writeSync(1, JSON.stringify({ without, after: reason() }));
`;

describe('a first use without a free descriptor', () => {
  it('does not affect later uses', () => {
    const script = 'ulimit -n 64 && exec "$@"';
    const argv = ['-euc', script, 'sh', process.execPath, '-e', PROGRAM, LIBRARY];
    const { stdout, stderr } = spawnSync('sh', argv, { encoding: 'utf8', timeout: 30_000 });
    assert.notEqual(stdout, '', stderr);
    const { without, after } = JSON.parse(stdout) as { without: string; after: string };
    assert.deepEqual({ without, after }, { without: 'EMFILE', after: 'none' });
  });
});
