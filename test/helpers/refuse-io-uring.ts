// Programs for which the kernel has no io_uring (see refuse-io-uring.c).
import { compiled } from './compiled';

/**
 * What io_uring_setup() then fails with: a sandbox answers EPERM, a kernel without it ENOSYS. Or what kills (see
 * refuse-io-uring.c).
 */
export type Refusal = 'EPERM' | 'ENOSYS' | 'KILL' | 'KILL-REGISTER' | 'KILL-PACKET' | 'KILL-FORK';

/** What is put in front of a command, to run it without io_uring. Throws: when `cc` refuses. */
export function refusing(how: Refusal): readonly string[] {
  return [compiled('refuse-io-uring'), how];
}
