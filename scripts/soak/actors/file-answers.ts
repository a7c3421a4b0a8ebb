// Bodies from files: piped, or by sendFile(). The file of a connection is replaced for each answer, and some are
// deleted while they are sent; every byte that arrives is that of the file that was opened.
import { createReadStream, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import type http from 'node:http';
import path from 'node:path';
import { sendFile } from '../../../lib/index';
import { type Description, fill } from '../../selftest/message';
import type { Chance } from '../chance';
import { codeOf, type World } from '../world';
import { type Part, writePart } from './file-part';

const WAYS = [
  'piped',
  'piped in chunks',
  'sendFile() of a path',
  'sendFile() of a handle',
] as const;

/** How many ways there are. */
export const FILE_WAYS = WAYS.length;

export class FileAnswers {
  readonly #world: World;
  readonly #chance: Chance;

  constructor(world: World, chance: Chance) {
    this.#world = world;
    this.#chance = chance;
  }

  /** @param way from 0 to FILE_WAYS - 1 */
  async answer(response: http.ServerResponse, message: Description, way: number): Promise<void> {
    const file = this.#write(message);
    const name = WAYS[way] as (typeof WAYS)[number];
    this.#world.ledger.add(`files ${name}`);
    if (name === 'piped') response.setHeader('content-length', message.length);
    if (name === 'piped' || name === 'piped in chunks') return this.#pipe(response, file);
    const happened = this.#world.ledger.awaits(`sendFile() of token ${message.token}`);
    try {
      await (name === 'sendFile() of a path'
        ? sendFile(response, file.path, file)
        : byHandle(response, file));
    } catch (error) {
      // The client went away; whatever else is wrong, its body ends early and the receiver tells.
      this.#world.ledger.add(`sendFile() error ${codeOf(error)}`);
      response.destroy();
    } finally {
      happened();
    }
  }

  // By its connection's name, so that paths come again.
  #write(message: Description): Part {
    const data = Buffer.allocUnsafeSlow(message.length);
    fill(data, message, 0);
    const { folder } = this.#world.order;
    return writePart(path.join(folder, `answer-${message.token}`), data, this.#chance);
  }

  #pipe(response: http.ServerResponse, part: Part): void {
    const { path: file, start, end } = part;
    const stream = createReadStream(file, { start, end });
    const happened = this.#world.ledger.awaits(`the close of ${file}`);
    stream.once('close', happened);
    stream.on('error', (error) => this.#world.ledger.fail(`${file}: ${error.stack}`));
    if (this.#chance.odds(0.2)) stream.once('open', () => rmSync(file, { force: true }));
    // A stream that is paused in the middle is read by Node from there on.
    if (this.#chance.odds(0.1)) {
      setImmediate(() => {
        stream.pause();
        setImmediate(() => stream.resume());
      });
    }
    response.once('close', () => stream.destroy());
    stream.pipe(response);
  }
}

async function byHandle(response: http.ServerResponse, part: Part): Promise<void> {
  const handle = await open(part.path);
  try {
    await sendFile(response, handle, part);
  } finally {
    await handle.close();
  }
}
