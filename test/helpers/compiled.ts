// C programs and libraries that tests need.
import { compiledFrom } from '../../scripts/compiled';

/**
 * The path of what `test/scenarios/<name>.c` becomes. Throws: when `cc` refuses.
 * @param flags beyond the usual ones, such as '-shared'
 */
export function compiled(name: string, flags: readonly string[] = []): string {
  return compiledFrom(`test/scenarios/${name}.c`, flags);
}
