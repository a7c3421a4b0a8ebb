// The API reference, by `npm run docs`: everything that the package exports, from its docstrings.
import { OptionDefaults } from 'typedoc';

export default {
  entryPoints: ['lib/index.ts', 'lib/prometheus.ts', 'lib/opentelemetry.ts'],
  out: 'api',
  readme: 'none',
  excludeInternal: true,
  excludePrivate: true,
  treatWarningsAsErrors: true,
  // Node's own documentation has these.
  externalSymbolLinkMappings: { '@types/node': { '*': 'https://nodejs.org/api/' } },
  // Who owns the memory until when, when a promise settles, and what the kernel must have.
  blockTags: [...OptionDefaults.blockTags, '@memory', '@settles', '@rejects', '@kernel', '@source'],
};
