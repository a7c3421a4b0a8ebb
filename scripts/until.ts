// Waiting for what can be observed, instead of sleeping.

const LOOK_EVERY_MS = 5;

/**
 * Settles when `condition` holds; it is looked at every few milliseconds.
 * Throws: when it does not hold within `deadlineMs`; `what` says what was waited for.
 */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  deadlineMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}
