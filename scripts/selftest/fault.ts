// Makes a receiver misbehave, so that the self-test's own checks can be tested: the environment
// variable MSG_ZEROCOPY_SELFTEST_FAULT is 'corrupt', 'lose' or 'duplicate'.

/** The piece of data it happens to, counted from 0: the second, so that the run has begun. */
const VICTIM = 1;

type Take = (data: Buffer) => void;

/** `take`, or something worse. */
export function withFault(take: Take, fault: string | undefined): Take {
  if (fault === undefined || fault === '') return take;
  let pieces = 0;
  return (data) => {
    if (pieces++ !== VICTIM) take(data);
    else misbehave(take, data, fault);
  };
}

function misbehave(take: Take, data: Buffer, fault: string): void {
  switch (fault) {
    case 'corrupt': {
      const last = data.length - 1;
      data[last] = (data[last] as number) ^ 1;
      return take(data);
    }
    case 'lose':
      return;
    case 'duplicate':
      take(data);
      return take(data);
    default:
      throw new Error(`no such fault: '${fault}'`);
  }
}
