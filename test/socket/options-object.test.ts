// Every function that takes options, given something else in their place: the error says what was expected, and
// nothing is opened or sent.
import assert from 'node:assert/strict';
import net from 'node:net';
import { inspect } from 'node:util';
import {
  BufferPool,
  connect,
  createPacketSocket,
  createRawSocket,
  createServer,
  createUdpSocket,
  enableZeroCopy,
  headers,
  sendFile,
  ZeroCopySocket,
} from '../../lib/index';
import { missing } from '../../lib/native/loader';
import { FallbackUdpSocket } from '../../lib/udp/fallback';
import { countDescriptors } from '../helpers/remains';

const NOT_OPTIONS: readonly unknown[] = [[], null, 'text', 5, true, () => 1, Symbol('options')];
const DATA = Buffer.from('nothing');

interface Taker {
  readonly call: (options: never) => unknown;
  /** The argument or property. Default 'options'. */
  readonly name?: string;
  /** An option, which the error names. */
  readonly option: string;
  /** What is wrong here; other values are other arguments. Default all. */
  readonly wrong?: readonly unknown[];
}

const zeroCopy = { name: 'options.zeroCopy', option: 'threshold' };
const upgraded = enableZeroCopy(new net.Socket());
const without = new FallbackUdpSocket({ type: 'udp4' }, missing('for this test'));
const frame = Buffer.concat([
  headers.ethernet({
    source: '02:00:00:00:00:01',
    destination: '02:00:00:00:00:02',
    protocol: 0x0800,
  }),
  DATA,
]);

const TAKERS: Readonly<Record<string, Taker>> = {
  'enableZeroCopy(socket)': { call: (o) => enableZeroCopy(new net.Socket(), o), option: 'engine' },
  'enableZeroCopy(server)': {
    call: (o) => enableZeroCopy(net.createServer(), o),
    option: 'engine',
  },
  'new ZeroCopySocket()': { call: (o) => new ZeroCopySocket({ zeroCopy: o }), ...zeroCopy },
  // Nothing connects to port 9.
  'connect()': { call: (o) => connect({ port: 9, zeroCopy: o }), ...zeroCopy },
  'createServer()': { call: (o) => createServer({ zeroCopy: o }), ...zeroCopy },
  'socket.send()': { call: (o) => upgraded.send(DATA, o), option: 'signal' },
  'new BufferPool()': { call: (o) => new BufferPool(o), option: 'hugePages' },
  'sendFile()': { call: (o) => sendFile(upgraded, __filename, o), option: 'start' },
  'createUdpSocket() for zeroCopy': {
    call: (o) => createUdpSocket({ type: 'udp4', zeroCopy: o }),
    ...zeroCopy,
  },
  'createRawSocket()': { call: (o) => createRawSocket(o), option: 'headerIncluded' },
  'createPacketSocket()': { call: (o) => createPacketSocket(o), option: 'interface' },
  'createPacketSocket() for ring': {
    call: (o) => createPacketSocket({ interface: 'lo', ring: o }),
    name: 'options.ring',
    option: 'frames',
    wrong: [[], null],
  },
  'createPacketSocket() for filter': {
    call: (o) => createPacketSocket({ interface: 'lo', filter: o }),
    name: 'options.filter',
    option: 'program',
  },
  'headers.offload()': { call: (o) => headers.offload(frame, 0, o), option: 'link' },
  'send() of UDP without the addon': {
    call: (o) => without.send(DATA, o),
    option: 'segmentSize',
    wrong: [[]],
  },
  'sendMany() of UDP without the addon': {
    call: (o) => without.sendMany([DATA], o),
    option: 'segmentSize',
  },
};

function assertRefused({ call, name = 'options', option, wrong = NOT_OPTIONS }: Taker): void {
  const before = countDescriptors();
  for (const value of wrong) {
    assert.throws(
      () => call(value as never),
      ({ code, message }: NodeJS.ErrnoException) => {
        const what = `${inspect(value)}: ${message}`;
        assert.equal(code, 'ERR_INVALID_ARG_TYPE', what);
        assert.match(
          message,
          new RegExp(`^The "${name}" (argument|property) must be an object \\(`),
          what,
        );
        assert.match(message, new RegExp(`\\(options: .*\\b${option}\\b.*\\)\\. Received `), what);
        return true;
      },
    );
  }
  assert.equal(countDescriptors(), before);
}

describe('something that is no object with options', () => {
  before(() => createUdpSocket('udp4').close()); // what every socket shares is there from now on

  after(() => {
    upgraded.destroy();
    without.close();
  });

  for (const [title, taker] of Object.entries(TAKERS)) {
    it(`is refused by ${title}, with the names of the options`, () => assertRefused(taker));
  }

  it('is refused by createUdpSocket(), with the types that exist', () => {
    for (const value of NOT_OPTIONS) {
      assert.throws(() => createUdpSocket(value as never), {
        code: 'ERR_SOCKET_BAD_TYPE',
        message: 'Bad socket type specified. Valid types are: udp4, udp6',
      });
    }
  });

  it('is refused by send() and sendMany() of UDP, and nothing is sent', () => {
    const socket = createUdpSocket('udp4');
    const send = (o: never): unknown => socket.send(DATA, o);
    assertRefused({ call: send, option: 'segmentSize', wrong: [[]] });
    assertRefused({ call: (o) => socket.sendMany([DATA], o), option: 'segmentSize' });
    assert.equal(socket.zeroCopy.stats.copiedBytes, 0);
    socket.close();
  });

  if (process.geteuid?.() !== 0) {
    it('skipped: raw and packet sockets need root (remedy: run as root, for instance with sudo)');
    return;
  }

  it('is refused by a raw socket, and nothing is sent', () => {
    const socket = createRawSocket({ family: 4, protocol: 255, headerIncluded: true, ring: true });
    const send = (o: never): unknown => socket.send(DATA, o);
    assertRefused({ call: send, option: 'tos', wrong: [[]] });
    assertRefused({ call: (o) => socket.sendMany([DATA], o), option: 'tos' });
    const packet = socket.reserve(64);
    assertRefused({ call: (o) => socket.commit(packet, o), option: 'address' });
    assert.equal(socket.zeroCopy.stats.copiedBytes, 0);
    socket.close();
  });

  it('is refused by a packet socket, and nothing is sent', () => {
    const socket = createPacketSocket({ interface: 'lo', ring: true, virtioHeader: true });
    const send = (o: never): unknown => socket.send(frame, o);
    assertRefused({ call: send, option: 'protocol', wrong: [[]] });
    assertRefused({ call: (o) => socket.sendMany([frame], o), option: 'protocol' });
    const offload = { name: 'options.offload', option: 'gso' };
    assertRefused({ call: (o) => socket.send(frame, { offload: o }), ...offload });
    const reserved = socket.reserve(64);
    assertRefused({ call: (o) => socket.commit(reserved, o), option: 'protocol' });
    assert.equal(socket.zeroCopy.stats.copiedBytes, 0);
    socket.close();
  });
});
