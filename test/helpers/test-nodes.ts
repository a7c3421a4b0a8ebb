// The other versions of Node that tests run under: the environment variable MSG_ZEROCOPY_TEST_NODES,
// a list of binaries with colons between them.
import { execFileSync } from 'node:child_process';

const VARIABLE = 'MSG_ZEROCOPY_TEST_NODES';

export function testNodes(): string[] {
  return (process.env[VARIABLE] ?? '').split(':').filter((node) => node !== '');
}

/** Declares tests for each other Node; where there is none, one pending test says why. */
export function forEachTestNode(body: (node: string, version: string) => void): void {
  const nodes = testNodes();
  if (nodes.length === 0) it(`skipped: ${VARIABLE} names no other Node`);
  for (const node of nodes)
    body(node, execFileSync(node, ['--version'], { encoding: 'utf8' }).trim());
}
