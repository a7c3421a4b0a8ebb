// Files of /proc and /sys as text. What cannot be read (another system, a
// container that masks it) is undefined.
import { accessSync, constants, readFileSync } from 'node:fs';

/** Undefined where it cannot be read. */
export function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** The number that a file consists of. */
export function readNumber(file: string): number | undefined {
  const text = readText(file)?.trim();
  if (text === undefined || !/^-?\d+$/.test(text)) return undefined;
  return Number(text);
}

/** Also false where the permission model forbids to look, which existsSync() answers by throwing. */
export function exists(file: string): boolean {
  return canAccess(file, constants.F_OK);
}

/** Whether this process may change a sysctl: root in a container finds /proc/sys mounted read-only. */
export function isWritable(file: string): boolean {
  return canAccess(file, constants.W_OK);
}

function canAccess(file: string, mode: number): boolean {
  try {
    accessSync(file, mode);
    return true;
  } catch {
    return false;
  }
}
