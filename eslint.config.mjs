import tseslint from 'typescript-eslint';

const CLOCK =
  'Take it from lib/node/clock.ts: there it is real also under the fake timers of a test.';
const FAKED = [
  'setTimeout',
  'clearTimeout',
  'setInterval',
  'clearInterval',
  'setImmediate',
  'clearImmediate',
  'queueMicrotask',
  'performance',
  'Date',
];

export default tseslint.config(
  { ignores: ['dist/**', 'api/**', 'build/**', 'build-*/**', 'node_modules/**'] },
  ...tseslint.configs.recommended,
  {
    rules: {
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      '@typescript-eslint/no-this-alias': 'off',
    },
  },
  {
    files: ['**/*.ts', '**/*.mts', '**/*.mjs'],
    // A piece of a test that runs in another process has to stand in one function.
    ignores: ['test/**'],
    rules: {
      'max-lines': ['error', 400],
      'max-lines-per-function': ['error', 70],
    },
  },
  {
    files: ['lib/**/*.ts'],
    ignores: ['lib/node/internals.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector:
            'MemberExpression[property.name=/^_(handle|unrefTimer|pendingData|pendingEncoding)$/]',
          message: "lib/node/internals.ts has every use of Node's internals.",
        },
      ],
    },
  },
  {
    files: ['lib/**/*.ts', 'lib/**/*.mts'],
    ignores: ['lib/node/clock.ts'],
    rules: {
      'no-restricted-globals': ['error', ...FAKED.map((name) => ({ name, message: CLOCK }))],
      'no-restricted-imports': [
        'error',
        ...['timers', 'node:timers', 'perf_hooks', 'node:perf_hooks'].map((name) => ({
          name,
          message: CLOCK,
        })),
      ],
      'no-restricted-properties': [
        'error',
        ...[
          ['process', 'nextTick'],
          ['process', 'hrtime'],
          ...FAKED.map((property) => ['globalThis', property]),
        ].map(([object, property]) => ({ object, property, message: CLOCK })),
      ],
    },
  },
);
