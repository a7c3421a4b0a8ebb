// The far end of a soak, in a process of its own: takes everything, compares it, and says what came.
import type { AddressInfo } from 'node:net';
import type net from 'node:net';
import { until } from '../until';
import { Browsers } from './far/browsers';
import { bindJoining, bindPlain, bindRaw, type Bound } from './far/datagrams';
import { Judge } from './far/judge';
import { listenForStreams } from './far/streams';
import type { FarOrder, FromFar, Target, ToFar } from './protocol';

/** What stays open when nothing comes any more is a failure, of which the ledgers tell more. */
const QUIET_WITHIN_MS = 20_000;

function tell(message: FromFar): void {
  if (process.connected) process.send?.(message);
}

class Receiver {
  readonly #judge = new Judge((wrong) => tell({ event: 'wrong', wrong }));
  readonly #servers: net.Server[] = [];
  readonly #bound: Bound[] = [];
  #seed = 0;
  #browsers: Browsers | undefined;

  async open({ seed, address, raw }: FarOrder): Promise<Target> {
    this.#seed = seed;
    const judge = this.#judge;
    for (const family of [4, 6] as const) {
      const server = await listenForStreams(address[family], judge, (arrived) =>
        tell({ event: 'arrived', arrived }),
      );
      this.#servers.push(server);
      if (raw) this.#bound.push(await bindRaw(family, address[family], judge));
    }
    const plain = await bindPlain(address[4], judge);
    const joining = await bindJoining(address[6], judge);
    this.#bound.push(plain, joining);
    const [tcp4, tcp6] = this.#servers.map((server) => (server.address() as AddressInfo).port);
    return {
      address,
      tcp: { 4: tcp4 as number, 6: tcp6 as number },
      udp: { 4: plain.port, 6: joining.port },
    };
  }

  browse(host: string, port: number, clients: number): void {
    const failed = (reason: string): void => tell({ event: 'failed', reason });
    this.#browsers = new Browsers({ host, port }, clients, this.#seed, this.#judge, failed);
  }

  async stopBrowsing(): Promise<void> {
    await this.#browsers?.stop();
    tell({ event: 'quiet' });
  }

  async finish(): Promise<void> {
    const open = async (): Promise<number> => {
      const counts = this.#servers.map(
        (server) => new Promise<number>((resolve) => server.getConnections((_, n) => resolve(n))),
      );
      return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
    };
    await until('connections', async () => (await open()) === 0, QUIET_WITHIN_MS).catch(async () =>
      tell({ event: 'failed', reason: `${await open()} connections never ended at the receiver` }),
    );
    for (const server of this.#servers) server.close();
    for (const bound of this.#bound) bound.close();
    // Connections that never ended are told of; they must not keep the process.
    const result: FromFar = { event: 'result', counts: this.#judge.counts };
    process.send?.(result, () => process.exit());
  }
}

const receiver = new Receiver();

async function obey(message: ToFar): Promise<void> {
  if ('order' in message) {
    tell({ event: 'listening', target: await receiver.open(message.order) });
  } else if ('browse' in message) {
    const { host, port, clients } = message.browse;
    receiver.browse(host, port, clients);
  } else if ('stopBrowsing' in message) {
    await receiver.stopBrowsing();
  } else {
    await receiver.finish();
  }
}

process.on('message', (message: ToFar) => {
  obey(message).catch((error: Error) =>
    tell({ event: 'failed', reason: `receiver: ${error.stack}` }),
  );
});
// A terminal's Ctrl-C reaches this process, too; the soak ends it.
process.on('SIGINT', () => undefined);
process.on('disconnect', () => process.exit());
