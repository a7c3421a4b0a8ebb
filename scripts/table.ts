// Tables for a terminal, and for logs: columns without lines between them.
import Table from 'cli-table3';

const NOTHING = ['top', 'bottom', 'left', 'right', 'mid', 'middle'];
const EDGES = ['top', 'bottom', 'left', 'right'].flatMap((edge) => [
  edge,
  ...['mid', 'left', 'right'].map((corner) => `${edge}-${corner}`),
]);

/** The lines of a table. @param texts how many columns are text; the rest are numbers, or remarks about them */
export function linesOf(rows: readonly (readonly string[])[], texts: number): string[] {
  const table = new Table({
    chars: Object.fromEntries(
      [...NOTHING, ...EDGES, 'left-mid', 'mid-mid', 'right-mid'].map((name) => [name, '']),
    ),
    colAligns: (rows[0] ?? []).map((_, column) => (column < texts ? 'left' : 'right')),
    style: { 'padding-left': 0, 'padding-right': 2, head: [], border: [], compact: true },
  });
  table.push(...rows.map((row) => [...row]));
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd());
}
