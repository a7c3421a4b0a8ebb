// Counts the system calls that small writes share.
import { loadNative, type Native } from '../../lib/native/binding';

/** Runs `body`, which may ask how many submits there were since it began. */
export async function withCountedSubmits(
  body: (submits: () => number) => void | Promise<void>,
): Promise<void> {
  const { native } = loadNative() as { native: Native };
  const { submitBatch } = native;
  let submits = 0;
  native.submitBatch = () => {
    submits++;
    submitBatch();
  };
  try {
    await body(() => submits);
  } finally {
    native.submitBatch = submitBatch;
  }
}
