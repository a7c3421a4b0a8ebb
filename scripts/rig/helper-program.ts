// The rig's C programs, compiled when they are missing or older than their source. Ask each time instead of
// keeping the answer: a rebuild of the addon empties the folder that they lie in.
import { compiledFrom } from '../compiled';

/** The path of the rig's C helper. Throws: when `cc` refuses, with what it said. */
export function rigHelper(): string {
  return compiledFrom('scripts/rig-helper.c');
}

/** The path of the program that delays what comes back (setup.ts). Throws: as rigHelper(). */
export function rigDelay(): string {
  return compiledFrom('scripts/rig-delay.c');
}

/** The path of the program that polices what arrives (Rig.setPolicer). Throws: as rigHelper(). */
export function rigPolicer(): string {
  return compiledFrom('scripts/rig-policer.c');
}
