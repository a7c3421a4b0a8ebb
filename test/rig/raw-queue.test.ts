// Raw sockets between two network namespaces, before a device that takes less than is sent.
import assert from 'node:assert/strict';
import type { RawSocketOptions } from '../../lib/index';
import { rigSuite } from '../helpers/suites';
import {
  assertOnlyLost,
  type Ends,
  type Known,
  PROTOCOL,
  type SendParams,
  type Tools,
  withEnds,
} from './raw-ends';

interface CrowdParams extends SendParams {
  /** Source address, for headers of our own. */
  readonly source: string;
  /** The one that sends. */
  readonly device: string;
  /** What is to happen behind the sends, in the same turn. */
  readonly then: 'wait' | 'close' | 'abort';
}

interface Crowd {
  readonly sent: Known[];
  /** Numbers of the datagrams whose callback had no error, and the codes of the others. */
  readonly accepted: number[];
  readonly failed: [number: number, code: string][];
  readonly inOrder: boolean;
  readonly mostQueued: { readonly bytes: number; readonly count: number };
}

/** Sends all datagrams in one turn of the loop; each is overwritten when it comes back. */
async function sendCrowd(tools: Tools, params: CrowdParams): Promise<Crowd> {
  const { address, mark, sizes, source, options, device } = params;
  const { createRawSocket, headers } = tools.zc;
  const socket = (tools.sockets['sender'] = createRawSocket(options));
  const header = (payloadLength: number): Buffer[] => {
    const fields = { source, destination: address, protocol: 253, payloadLength };
    return options.headerIncluded ? [headers.ipv4(fields)] : [];
  };
  const controller = new AbortController();
  const { signal } = controller;
  const sent: Known[] = [];
  const accepted: number[] = [];
  const failed: [number, string][] = [];
  const all = sizes.map((size, number) => tools.datagram(mark, number, size));
  // Hardly anything leaves before all is sent, however long that takes.
  tools.setRate(device, '200kbit');
  const told = all.map((data, number) => {
    sent.push([number, tools.sha256(data)]);
    const message = [...header(data.length), data];
    const settled = (error: NodeJS.ErrnoException | null): void => {
      data.fill(0xee);
      if (error === null) accepted.push(number);
      else failed.push([number, error.code ?? error.message]);
    };
    if (params.then === 'abort') {
      return socket.send(message, { address, signal }).then(() => settled(null), settled);
    }
    return new Promise<void>((resolve) => {
      socket.send(message, address, (error) => {
        settled(error);
        resolve();
      });
    });
  });
  await new Promise((resolve) => setImmediate(resolve));
  const mostQueued = { bytes: socket.getSendQueueSize(), count: socket.getSendQueueCount() };
  tools.setRate(device, '20mbit');
  if (params.then === 'close') socket.close();
  if (params.then === 'abort') controller.abort();
  await Promise.all(told);
  const ascending = (list: readonly number[]): boolean =>
    list.every((value, at) => at === 0 || value > (list[at - 1] as number));
  const inOrder = ascending(accepted) && ascending(failed.map(([number]) => number));
  return { sent, accepted, failed, inOrder, mostQueued };
}

const SIZE = 1388; // 1400 with mark and number
const COUNT = 900; // about twice as much as the device takes at once

/** The kernel says in different ways that there is no room: see raw(7), and ip_append_data. */
for (const [title, headerIncluded] of [
  ["with the kernel's header", false],
  ['with a header of their own', true],
] as const) {
  rigSuite(
    `raw sockets before a slow device, ${title}`,
    (getRig) => withEnds(getRig, (ends) => slowDevice(ends, headerIncluded)),
    { rate: '20mbit' },
  );
}

function slowDevice(ends: Ends, headerIncluded: boolean): void {
  const base = { family: 4, protocol: PROTOCOL, headerIncluded, sendBufferSize: 20_000 } as const;
  const bytesOfOne = SIZE + 12 + (headerIncluded ? 20 : 0);

  async function crowd(
    options: Partial<RawSocketOptions>,
    then: CrowdParams['then'] = 'wait',
  ): Promise<Crowd & { arrived: Known[] }> {
    const mark = await ends.gather(4);
    const result = await ends.sender.run(sendCrowd, {
      mark,
      source: ends.address('sender', 4),
      device: ends.rig.sender.device,
      address: ends.address('receiver', 4),
      sizes: new Array<number>(COUNT).fill(SIZE),
      options: { ...base, ...options },
      then,
    });
    const last = result.accepted[result.accepted.length - 1] as number;
    const arrived = await ends.receiver.run((tools, number) => tools.gathered(number), last);
    assert.equal(result.accepted.length + result.failed.length, COUNT);
    assert.equal(result.inOrder, true, 'callbacks out of order');
    assert.ok(arrived.length > 0, 'nothing arrived');
    // What failed was not sent; what was sent is right. The burst may overflow the receiver.
    const accepted = new Set(result.accepted);
    assertOnlyLost(
      arrived,
      result.sent.filter(([number]) => accepted.has(number)),
    );
    return { ...result, arrived };
  }

  it('queue what the device has no room for, and send it later in order', async () => {
    const { failed, mostQueued, arrived } = await crowd({});
    assert.deepEqual(codesOf(failed), []);
    assert.ok(mostQueued.count > 50 && mostQueued.count < COUNT, `${mostQueued.count}`);
    assert.equal(mostQueued.bytes, mostQueued.count * bytesOfOne);
    const numbers = arrived.map(([number]) => number);
    assert.deepEqual(
      numbers,
      [...numbers].sort((a, b) => a - b),
    );
  });

  it('reject what exceeds maxQueuedBytes, and send the rest', async () => {
    const { failed, mostQueued } = await crowd({ maxQueuedBytes: 50_000 });
    assert.deepEqual(codesOf(failed), ['ERR_ZC_QUEUE_FULL']);
    assert.ok(failed.length > 50, `${failed.length}`);
    assert.ok(mostQueued.bytes <= 50_000, `${mostQueued.bytes}`);
  });

  it("let what exceeds maxQueuedBytes wait with whenQueueFull: 'wait'", async () => {
    const { failed, mostQueued } = await crowd({ maxQueuedBytes: 50_000, whenQueueFull: 'wait' });
    assert.deepEqual(codesOf(failed), []);
    assert.ok(mostQueued.bytes > 50_000, `${mostQueued.bytes}`);
  });

  it('fail waiting sends when the socket is closed, and send none of them', async () => {
    const { failed, accepted, mostQueued } = await crowd({}, 'close');
    assert.deepEqual(codesOf(failed), ['ECANCELED']);
    assert.equal(failed.length, mostQueued.count);
    assert.ok(accepted.length > 10, `${accepted.length}`);
  });

  it('cancel waiting sends when their signal is aborted', async () => {
    const { failed, accepted } = await crowd({}, 'abort');
    assert.deepEqual(codesOf(failed), ['ABORT_ERR']);
    assert.ok(failed.length > 50 && accepted.length > 10, `${failed.length} failed`);
  });
}

function codesOf(failed: Crowd['failed']): string[] {
  return [...new Set(failed.map(([, code]) => code))];
}
