// A write is handed to the kernel before it returns, as in plain Node: nothing that the program does next, be it
// its end, overtakes the bytes, delays or loses them.
import assert from 'node:assert/strict';
import net from 'node:net';
import { countWrong } from '../../scripts/pattern';
import { startProgram, stopPrograms } from '../helpers/program';
import { uringSuite } from '../helpers/suites';
import type { AtOnceArgument, Deed } from '../scenarios/at-once';

const DEEDS: Readonly<Partial<Record<Deed, string>>> = {
  standStill: 'a thread that stands still until it has arrived',
  sigkill: 'a SIGKILL of its own',
  sigterm: 'a SIGTERM of its own',
  abort: 'abort()',
  exit: 'process.exit()',
  ...('execve' in process && { execve: 'process.execve()' }),
  exitListener: "a listener of 'exit' that writes it",
  exception: 'an uncaught exception',
  spawn: 'a child process that writes to the same connection',
  send: 'a child process that is sent the same connection',
};
const ANSWERS_BEFORE = 2;
/** For a busy machine; only what fails takes as long. */
const DEADLINE_MS = 20_000;
const CHILDS_WORD = 'child';

const request = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
const HEAD_END = '\r\n\r\n';
const OTHERS = 16;

interface Answer {
  readonly wrong: number;
  /** What came behind the last answer's body. */
  readonly behind: string;
}

/** Asks again and again over one connection; the last answer, and what came behind it. */
function ask(port: number, bytes: number, behindBytes: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(request('/')));
    let received = Buffer.alloc(0);
    const late = setTimeout(
      () => socket.destroy(new Error(`only ${received.length} bytes came`)),
      DEADLINE_MS,
    );
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      const start = received.indexOf(HEAD_END) + HEAD_END.length;
      if (start < HEAD_END.length || received.length < start + bytes) return;
      if (!received.includes('X-Last: true')) {
        received = Buffer.alloc(0);
        socket.write(request('/'));
        return;
      }
      const body = received.subarray(start, start + bytes);
      const behind = received.toString('latin1', start + bytes);
      if (behind.length < behindBytes) return;
      socket.destroy();
      resolve({ wrong: countWrong(body, 1, 0), behind });
    });
    socket.on('error', reject);
    socket.on('close', () => {
      clearTimeout(late);
      reject(new Error(`lost: ${received.length} bytes came`));
    });
  });
}

/** Connections that ask all the time. Ends them. */
function askAllTheTime(port: number): () => void {
  const sockets = Array.from({ length: OTHERS }, () => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(request('/others')));
    socket.on('data', (chunk: Buffer) => {
      if (chunk.includes(HEAD_END)) socket.write(request('/others'));
    });
    // The server's end is what is tested.
    socket.on('error', () => undefined);
    return socket;
  });
  return () => {
    for (const socket of sockets) socket.destroy();
  };
}

// The copying engine shows that nothing is asked for that plain Node does not do.
for (const engine of ['auto', 'io_uring', 'copy'] as const) {
  describe(`a response written right before something else, engine '${engine}'`, () => {
    afterEach(stopPrograms);

    for (const bytes of [1_000, 100_000, 1_000_000]) {
      for (const deed of Object.keys(DEEDS) as Deed[]) {
        it(`of ${bytes} bytes arrives first and at once: ${DEEDS[deed]}`, async () => {
          await arrivesFirst({ engine, deed, bytes, isShared: false });
        });
      }
    }
  });
}

async function arrivesFirst(
  given: Pick<AtOnceArgument, 'engine' | 'deed' | 'bytes' | 'isShared'>,
  isWorkers = false,
): Promise<void> {
  const { deed, bytes, isShared } = given;
  const constants = { answersBefore: ANSWERS_BEFORE, childsWord: CHILDS_WORD };
  const program = startProgram('at-once', { ...given, ...constants, isWorkers });
  const { port } = await program.next<{ port: number }>();
  const end = isShared ? askAllTheTime(port) : undefined;
  const childs = deed === 'spawn' || deed === 'send' ? CHILDS_WORD : '';
  const { wrong, behind } = await ask(port, bytes, childs.length);
  assert.deepEqual({ wrong, behind }, { wrong: 0, behind: childs });
  // What a listener of 'exit' writes goes at once.
  const shared = isShared && deed !== 'exitListener' ? 1 : 0;
  assert.deepEqual(await program.next(), { shared });
  program.tell({ seen: true });
  end?.();
}

for (const engine of ['auto', 'io_uring'] as const) {
  uringSuite(`a response that shares a system call with others, engine '${engine}'`, () => {
    afterEach(stopPrograms);

    // By name the ring goes on where it notices that loopback copies.
    for (const bytes of engine === 'auto' ? [1_000, 20_000] : [20_000, 40_000, 200_000]) {
      for (const deed of Object.keys(DEEDS) as Deed[]) {
        it(`of ${bytes} bytes arrives first and at once: ${DEEDS[deed]}`, async () => {
          await arrivesFirst({ engine, deed, bytes, isShared: true });
        });
      }
    }
  });
}

uringSuite("a worker's response that shares a system call with others", () => {
  afterEach(stopPrograms);

  // A thread hands over what lies for a moment: it must not win every time.
  for (const round of [1, 2, 3]) {
    for (const bytes of [1_000, 100_000]) {
      for (const deed of ['sigkill', 'sigterm', 'exit', 'exitListener', 'exception'] as const) {
        it(`of ${bytes} bytes arrives first and at once: ${DEEDS[deed]}, round ${round}`, async () => {
          await arrivesFirst({ engine: 'io_uring', deed, bytes, isShared: true }, true);
        });
      }
    }
  }
});
