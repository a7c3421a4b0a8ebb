// What the guest tells the host, a line of JSON each.

export interface Result {
  /** The sender's card as QEMU names it; 'lo', or 'none' of what needs no network. */
  readonly device: string;
  /** With netem in front of the sender's card, or without. */
  readonly way: 'plain' | 'netem';
  readonly what: string;
  /** `absent`: this kernel does not have it. */
  readonly outcome: 'right' | 'WRONG' | 'absent';
  readonly detail: string;
}

export function print(result: Result): void {
  console.log(JSON.stringify(result));
}

/** Undefined for other lines of the console. */
export function parseResult(line: string): Result | undefined {
  const at = line.indexOf('{"device"');
  if (at < 0) return undefined;
  try {
    return JSON.parse(line.slice(at)) as Result;
  } catch {
    return undefined;
  }
}
