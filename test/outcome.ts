// What a run of mocha reports to the run of a tier.

/** A test or a hook that failed, as mocha's reporters print it. */
export interface Failure {
  readonly titlePath: readonly string[];
  readonly err: Readonly<Record<string, unknown>>;
}

/** What came of a run of mocha. */
export interface Outcome {
  readonly passed: number;
  readonly failures: readonly Failure[];
  /** Titles of what was skipped; they end with the reason. */
  readonly skipped: readonly string[];
}
