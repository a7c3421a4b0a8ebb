// What this package publishes on one of its diagnostics channels while a scenario runs.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';

type ChannelName = 'send' | 'release' | 'fallback' | 'resume' | 'abort' | 'mutation';

/** Messages of one channel, gathered until `stop`. */
export class Heard<Message> {
  readonly messages: Message[] = [];
  readonly #name: string;
  readonly #listener = (message: unknown): void => void this.messages.push(message as Message);

  constructor(name: ChannelName) {
    this.#name = `msg-zerocopy:${name}`;
    subscribe(this.#name, this.#listener);
  }

  stop(): void {
    unsubscribe(this.#name, this.#listener);
  }
}
