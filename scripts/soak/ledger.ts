// The sender's accounts: how often what happened, what went wrong, and which release callbacks are awaited.

const MOST_FAILURES = 20;

export class Ledger {
  readonly #counts = new Map<string, number>();
  readonly #awaited = new Map<number, string>();
  readonly #onFailure: (reason: string) => void;
  readonly failures: string[] = [];
  #next = 0;

  /** @param onFailure told at once, too */
  constructor(onFailure: (reason: string) => void = () => undefined) {
    this.#onFailure = onFailure;
  }

  add(name: string, count = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + count);
  }

  addAll(counts: Readonly<Record<string, number>>): void {
    for (const [name, count] of Object.entries(counts)) this.add(name, count);
  }

  get counts(): Record<string, number> {
    return Object.fromEntries(this.#counts);
  }

  fail(reason: string): void {
    if (this.failures.length >= MOST_FAILURES) return;
    this.failures.push(reason);
    this.#onFailure(reason);
  }

  /**
   * Something that has to happen exactly once.
   * @returns to be called when it does
   */
  awaits(what: string): () => void {
    const number = this.#next++;
    this.#awaited.set(number, what);
    this.add('release callbacks awaited');
    return () => {
      if (this.#awaited.delete(number)) this.add('release callbacks');
      else this.fail(`${what}: called back twice`);
    };
  }

  get waiting(): number {
    return this.#awaited.size;
  }

  /** What did not happen, in so many words. */
  missing(): string {
    const some = [...this.#awaited.values()].slice(0, 5);
    return `${this.waiting} never called back: ${some.join('; ')}`;
  }
}
