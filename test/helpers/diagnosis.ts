// Looks at the findings of diagnose(), and takes facts away from it.
import assert from 'node:assert/strict';
import type { Finding, Verdict } from '../../lib/index';

export function verdicts(findings: readonly Finding[]): Record<string, Verdict> {
  return Object.fromEntries(findings.map(({ id, verdict }) => [id, verdict]));
}

export function named(findings: readonly Finding[], id: string): Finding {
  const found = findings.filter((finding) => finding.id === id);
  assert.equal(found.length, 1, `one finding '${id}'`);
  return found[0] as Finding;
}

/** The same facts, one of which is not known. */
export function without<T extends object, K extends keyof T>(facts: T, unknown: K): Omit<T, K> {
  const rest = { ...facts };
  delete rest[unknown];
  return rest;
}
