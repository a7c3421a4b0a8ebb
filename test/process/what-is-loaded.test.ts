// What a program pays for at its start: it loads what it uses, and nothing of the other kinds of sockets.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';

const PACKAGE = path.join(__dirname, '../../lib/index.js');

/** The folders of lib/ of which `program` has loaded more than what it was asked for by name. */
function loadedBy(program: string): Set<string> {
  const source = `
    const library = require(${JSON.stringify(PACKAGE)});
    ${program}
    console.log(JSON.stringify(Object.keys(require.cache)));`;
  const files = JSON.parse(
    execFileSync(process.execPath, ['-e', source], { encoding: 'utf8' }),
  ) as string[];
  const doors = /[/\\](index|create|diagnose|capabilities)\.js$/;
  return new Set(
    files.filter((file) => !doors.test(file)).map((file) => path.basename(path.dirname(file))),
  );
}

describe('what is loaded', () => {
  const others = ['udp', 'raw', 'packet', 'datagram', 'doctor', 'ipaddr.js'];

  it('does not include other kinds of sockets for a program that uses TCP', () => {
    const loaded = loadedBy('library.enableZeroCopy(require("node:http").createServer());');
    assert.ok(loaded.has('tcp'));
    for (const other of others) assert.ok(!loaded.has(other), other);
  });

  it('comes with the first socket of its kind', () => {
    const udp = loadedBy('library.createUdpSocket("udp4").close();');
    assert.ok(udp.has('udp'));
    assert.ok(!udp.has('packet'));
    const packet = loadedBy('library.headers.internetChecksum(Buffer.alloc(2));');
    assert.ok(packet.has('packet'));
    assert.ok(!packet.has('udp'));
    assert.ok(loadedBy('library.diagnose();').has('doctor'));
  });
});
