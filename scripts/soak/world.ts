// What every actor is given.
import type { Chance } from './chance';
import type { Ledger } from './ledger';
import type { Memory } from './memory';
import type { SenderOrder, Sent } from './protocol';

export interface World {
  readonly order: SenderOrder;
  readonly ledger: Ledger;
  readonly memory: Memory;
  /** Episodes come to their end, and no more begin. */
  readonly stopping: boolean;
  sent(sent: Sent): void;
}

/** One episode of an actor: opens sockets, sends, ends them, and settles when all is released. */
export type Episode = (world: World, chance: Chance, token: number) => Promise<void>;

/** Errors that mean that the machine had no more of something. */
const WANT = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'ENOBUFS', 'EAGAIN', 'ENOSPC']);

export function codeOf(error: unknown): string {
  const { code, name } = error as NodeJS.ErrnoException;
  return code ?? name ?? String(error);
}

/** Whether an error is what this process was set up to meet. */
export function isWant(world: World, error: unknown): boolean {
  const { callsFail, descriptorHog } = world.order;
  return (callsFail === true || descriptorHog !== undefined) && WANT.has(codeOf(error));
}

/** A turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export function afterMs(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
