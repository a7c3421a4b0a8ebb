// Clients of the http actor: they ask for bodies over connections that they keep, check every byte, and
// cut some connections in the middle of a body.
import http from 'node:http';
import { HTTP_MANNERS } from '../actors/http';
import { Chance } from '../chance';
import { tokenOf } from '../names';
import { DESCRIPTION_BYTES } from '../../selftest/message';
import { afterMs } from '../world';
import type { Judge } from './judge';

const MOST_BODY_BYTES = 3 * 1024 * 1024;

export class Browsers {
  readonly #to: { readonly host: string; readonly port: number };
  readonly #judge: Judge;
  readonly #failed: (reason: string) => void;
  readonly #all: Promise<unknown>;
  #stopping = false;

  /** @param failed told of bodies that ended early */
  constructor(
    to: { readonly host: string; readonly port: number },
    clients: number,
    seed: number,
    judge: Judge,
    failed: (reason: string) => void,
  ) {
    this.#to = to;
    this.#judge = judge;
    this.#failed = failed;
    const each = Array.from({ length: clients }, (_, i) => this.#browse(i, Chance.for(seed, i)));
    this.#all = Promise.all(each);
  }

  /** Settles when no request is open. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#all;
  }

  async #browse(client: number, chance: Chance): Promise<void> {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const token = tokenOf(0, 'http', client);
    for (let sequence = 0; !this.#stopping; sequence++) {
      await this.#ask(agent, token, sequence, chance);
    }
    agent.destroy();
  }

  async #ask(agent: http.Agent, token: number, sequence: number, chance: Chance): Promise<void> {
    const length = chance.size(DESCRIPTION_BYTES + 1, MOST_BODY_BYTES);
    const manner = chance.between(0, HTTP_MANNERS - 1);
    const cutAt = chance.odds(0.1) ? chance.between(0, length - 1) : undefined;
    const pauseMs = chance.odds(0.2) ? chance.between(1, 20) : 0;
    const request = http.get({
      ...this.#to,
      agent,
      path: `/${token}/${sequence}/${length}/${manner}`,
    });
    const message = { token, sequence, length };
    let answered = false;
    try {
      let bytes = 0;
      const response = await answerTo(request);
      answered = true;
      for await (const chunk of response) {
        const data = chunk as Buffer;
        this.#judge.compare('http', data, message, bytes);
        bytes += data.length;
        if (cutAt !== undefined && bytes > cutAt) break;
        if (pauseMs > 0) await afterMs(pauseMs);
      }
      if (cutAt !== undefined) this.#judge.add('http bodies cut by the client');
      else if (bytes !== length) throw new Error(`${bytes} of ${length} bytes came`);
      this.#judge.add('http bodies received');
    } catch (error) {
      // A request on a kept connection that the server closes at that moment (nodejs.org, http.request,
      // `reusedSocket`).
      const { code } = error as NodeJS.ErrnoException;
      const late = code === 'ECONNRESET' && request.reusedSocket && !answered;
      if (late) this.#judge.add('http requests too late');
      else if (!this.#stopping) this.#failed(`http, token ${token}/${sequence}: ${String(error)}`);
      await afterMs(10);
    }
  }
}

function answerTo(request: http.ClientRequest): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve);
    // Also behind the response, when it is cut.
    request.on('error', reject);
  });
}
