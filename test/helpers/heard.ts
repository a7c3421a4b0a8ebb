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

/** A message of `msg-zerocopy:mutation`, by which detectMutation reports. */
export interface Finding {
  readonly socket: object;
  readonly stack: string;
  readonly bytes: number;
  readonly kind: 'changed' | 'detached';
}

type CodedWarning = Error & { readonly code?: string; readonly detail?: string };

/** Process warnings of detectMutation, gathered until `stop`. */
export class WarningsHeard {
  readonly list: CodedWarning[] = [];
  readonly #listener = (warning: CodedWarning): void => {
    if (warning.code === 'ZC_BUFFER_MUTATED') this.list.push(warning);
  };

  constructor() {
    process.on('warning', this.#listener);
  }

  stop(): void {
    process.off('warning', this.#listener);
  }
}
