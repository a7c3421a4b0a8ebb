// A UDP socket that is closed while it waits for space holds the process no longer than its memory is
// held. The rig's slow link keeps a small send buffer full.
import assert from 'node:assert/strict';
import path from 'node:path';
import { lineReader } from '../helpers/program';
import { rigSuite } from '../helpers/suites';

const LIBRARY = path.join(__dirname, '../../lib/index.js');
const ENDS_WITHIN_MS = 15_000;

/** Fills the send buffer, sees sends wait, closes, and has nothing left to do. */
const PROGRAM = `
const [library, address, engine] = process.argv.slice(1);
const { createUdpSocket } = require(library);
const zeroCopy = { engine, threshold: 0 };
const socket = createUdpSocket({ type: 'udp4', sendBufferSize: 8192, zeroCopy });
let released = 0;
const codes = new Set();
const SENDS = 2000; // more than the burst that the link lets through at once
for (let i = 0; i < SENDS; i++) {
  socket.send(Buffer.alloc(1400), 9, address, (error) => {
    codes.add(error?.code ?? 'sent');
    if (++released === SENDS) console.log(JSON.stringify([...codes].sort()));
  });
}
setImmediate(() => {
  if (socket.getSendQueueCount() === 0) throw new Error('nothing waits');
  socket.close();
});
`;

rigSuite(
  'a UDP socket closed while it waits for space',
  (getRig) => {
    for (const engine of ['copy', 'msg_zerocopy']) {
      it(`does not hold the process ('${engine}')`, async () => {
        const rig = getRig();
        const argv = [process.execPath, '-e', PROGRAM, LIBRARY, rig.receiver.address4, engine];
        const child = rig.spawn('sender', argv, { stdio: ['ignore', 'pipe', 'inherit'] });
        const ended = new Promise((resolve) => {
          child.once('close', (code, signal) => resolve({ code, signal }));
        });
        const timer = setTimeout(() => child.kill('SIGKILL'), ENDS_WITHIN_MS);
        assert.deepEqual(JSON.parse(await lineReader(child)()), ['ECANCELED', 'sent']);
        assert.deepEqual(await ended, { code: 0, signal: null });
        clearTimeout(timer);
      });
    }
  },
  { rate: '2mbit' },
);
