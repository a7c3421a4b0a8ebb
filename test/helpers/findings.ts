// How detectMutation reports its findings, besides its counter.

/** A message of `msg-zerocopy:mutation`. */
export interface Finding {
  readonly socket: object;
  readonly stack: string;
  readonly bytes: number;
  readonly kind: 'changed' | 'detached';
}

type CodedWarning = Error & { readonly code?: string; readonly detail?: string };

/** Its process warnings, gathered until `stop`. */
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
