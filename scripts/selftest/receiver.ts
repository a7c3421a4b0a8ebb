// The receiving process of a run: checks every byte that arrives and says what it saw.
// Usage: node receiver.js ORDER (JSON, see protocol.ts); speaks over IPC.
import net from 'node:net';
import { withFault } from './fault';
import type { Inlet, OpenInlet } from './inlets/inlet';
import { DatagramLedger, StreamLedger } from './ledger';
import type { FromReceiver, ReceiverOrder, ReceiverResult, ToReceiver } from './protocol';
import { obstacleBehind } from './unavailable';

/** After the sender has ended, what is still on its way must come within so long. */
const QUIET_MS = 1000;

// Loaded when needed: a mode that cannot be loaded does not keep the others from running.
async function inletFor({ trial, address }: ReceiverOrder): Promise<OpenInlet> {
  switch (trial.mode) {
    case 'tcp':
      return (await import('./inlets/tcp.js')).openTcpInlet;
    case 'raw':
    case 'raw_hdrincl':
      return (await import('./inlets/raw.js')).openRawInlet;
    case 'packet':
    case 'packet_dgram':
      if (isLoopback4(address)) return (await import('./inlets/packet.js')).openLoopbackPacketInlet;
      return (await import('./inlets/udp.js')).openUdpInlet;
    case 'udp':
      return (await import('./inlets/udp.js')).openUdpInlet;
  }
}

function isLoopback4(address: string): boolean {
  return net.isIPv4(address) && address.startsWith('127.');
}

function say(message: FromReceiver): void {
  process.send?.(message);
}

// Closing the channel also lets the process end.
function sayLast(message: FromReceiver): void {
  process.send?.(message, () => process.disconnect());
}

/** One run, from the first byte to the result. */
class Reception {
  readonly #order: ReceiverOrder;
  readonly #stream: StreamLedger | undefined;
  readonly #datagrams: DatagramLedger | undefined;
  #inlet: Inlet | undefined;
  #sent: ToReceiver['finish'] | undefined;
  #quiet: NodeJS.Timeout | undefined;
  #announcing = false;
  #begun = false;
  #over = false;

  constructor(order: ReceiverOrder) {
    this.#order = order;
    if (order.trial.mode === 'tcp') this.#stream = new StreamLedger(order.token);
    else this.#datagrams = new DatagramLedger(order.token);
  }

  async open(): Promise<void> {
    const open = await inletFor(this.#order);
    const take = withFault((data) => this.#take(data), process.env['MSG_ZEROCOPY_SELFTEST_FAULT']);
    const inlet = await open(this.#order, {
      take: (data) => {
        this.#begun = true;
        take(data);
      },
      ended: (how) => this.#ended(how),
    });
    this.#inlet = inlet;
    const { address, port, receiveBuffer } = inlet;
    say({ event: 'listening', address, port, receiveBuffer });
    if (this.#order.seconds !== undefined) {
      setTimeout(() => this.#timeUp(), this.#order.seconds * 1000).unref();
    }
  }

  /** The sender is done. */
  finish(sent: ToReceiver['finish']): void {
    this.#sent = sent;
    if (this.#datagrams === undefined) {
      // The end of a stream comes by itself, unless nothing was ever connected.
      if (!this.#begun && sent.bytes === 0) this.#end();
      return;
    }
    if (this.#datagrams.settled >= sent.messages) this.#end();
    else this.#await(QUIET_MS);
  }

  #take(data: Buffer): void {
    this.#stream?.take(data);
    const datagrams = this.#datagrams;
    if (datagrams === undefined) return;
    datagrams.take(data);
    this.#announce(datagrams);
    if (this.#sent !== undefined) this.finish(this.#sent);
    else if (this.#order.idleMs !== undefined) this.#await(this.#order.idleMs);
  }

  // Once for all that is read in one turn of the event loop.
  #announce(datagrams: DatagramLedger): void {
    if (this.#announcing || this.#order.token === undefined) return;
    this.#announcing = true;
    setImmediate(() => {
      this.#announcing = false;
      if (!this.#over) say({ event: 'received', messages: datagrams.arrived });
    });
  }

  #await(milliseconds: number): void {
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => this.#end(), milliseconds);
  }

  #ended(how: string | undefined): void {
    if (how !== undefined) this.#stream?.cut(how);
    this.#end();
  }

  #timeUp(): void {
    if (this.#begun && this.#stream !== undefined) this.#stream.cut('time ran out');
    this.#end();
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#quiet);
    const result = this.#result();
    this.#inlet?.close();
    sayLast({ event: 'result', result });
  }

  #result(): ReceiverResult {
    if (this.#stream !== undefined) return this.#stream.result();
    const ledger = this.#datagrams as DatagramLedger;
    return ledger.result(this.#sent?.messages, this.#inlet?.drops() ?? 0);
  }
}

async function main(): Promise<void> {
  const order = JSON.parse(process.argv[2] ?? '') as ReceiverOrder;
  // The parent is gone, or needs no more.
  process.once('disconnect', () => process.exit());
  const reception = new Reception(order);
  try {
    await reception.open();
  } catch (error) {
    const obstacle = obstacleBehind(error, order.trial.family);
    if (obstacle !== undefined) sayLast({ event: 'unavailable', ...obstacle });
    else sayLast({ event: 'failed', reason: (error as Error).message });
    return;
  }
  process.on('message', ({ finish }: ToReceiver) => reception.finish(finish));
}

void main();
