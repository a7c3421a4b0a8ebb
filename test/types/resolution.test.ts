// A program that depends on this package finds its types by `import` and by `require`, each with the
// module format that Node will load.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const ROOT = path.join(__dirname, '../../..');
const TSC = path.join(ROOT, 'node_modules/typescript/bin/tsc');

const USE = `
const socket: ZeroCopySocket = connect({ port: 1, zeroCopy: { threshold: 1 } });
const report: Promise<SendReport> = socket.send(Buffer.alloc(1));
export const all = [enableZeroCopy(socket), report];
`;

const SOURCES = {
  'by-import.mts': `import { connect, enableZeroCopy, ZeroCopySocket } from 'msg-zerocopy';
import type { SendReport } from 'msg-zerocopy';
${USE}`,
  'by-require.cts': `import zc = require('msg-zerocopy');
import { connect, enableZeroCopy, ZeroCopySocket } from 'msg-zerocopy';
import type { SendReport } from 'msg-zerocopy';
export const same: typeof connect = zc.connect;
${USE}`,
  'wrong.mts': `import { connect } from 'msg-zerocopy';
export const socket = connect({ port: 1, zeroCopy: { engine: 'none' } });
`,
  'deep.mts': `import { getReactor } from 'msg-zerocopy/dist/lib/native/reactor.js';
export const reactor = getReactor();
`,
} as const;

describe('the types of the package', () => {
  let folder = '';
  let output = '';

  // One run of the compiler, which takes seconds, for all of them.
  before(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'zero-copy-types-'));
    const modules = path.join(folder, 'node_modules');
    mkdirSync(modules);
    symlinkSync(ROOT, path.join(modules, 'msg-zerocopy'), 'junction');
    writeFileSync(path.join(folder, 'package.json'), '{}');
    for (const [file, text] of Object.entries(SOURCES))
      writeFileSync(path.join(folder, file), text);
    const config = {
      compilerOptions: {
        module: 'node16',
        moduleResolution: 'node16',
        target: 'es2022',
        lib: ['es2023'],
        strict: true,
        noEmit: true,
        skipLibCheck: true,
        types: ['node'],
        typeRoots: [path.join(ROOT, 'node_modules/@types')],
      },
      files: Object.keys(SOURCES),
    };
    writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify(config));
    const argv = [TSC, '-p', folder, '--pretty', 'false', '--explainFiles'];
    output = spawnSync(process.execPath, argv, { cwd: folder, encoding: 'utf8' }).stdout;
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** What the compiler complained about in one file. */
  function complaints(file: keyof typeof SOURCES): string[] {
    return output.split('\n').filter((line) => line.startsWith(`${file}(`));
  }

  // --explainFiles: a file, and below it, further in, one line for each reason why it is there.
  function reasonsFor(face: string): string {
    const at = output.split('\n').findIndex((line) => line.endsWith(`dist/lib/${face}`));
    assert.ok(at >= 0, output);
    return output
      .split('\n')
      .slice(at + 1)
      .reduce<string[]>((taken, line, index) => {
        if (taken.length === index && line.startsWith('  ')) taken.push(line);
        return taken;
      }, [])
      .join('\n');
  }

  it("resolve for import, as an ES module's", () => {
    assert.deepEqual(complaints('by-import.mts'), []);
    const reasons = reasonsFor('index.d.mts');
    assert.match(reasons, /Imported via 'msg-zerocopy' from file 'by-import\.mts'/);
    assert.doesNotMatch(reasons, /by-require/);
  });

  it("resolve for require, as CommonJS's", () => {
    assert.deepEqual(complaints('by-require.cts'), []);
    const reasons = reasonsFor('index.d.ts');
    assert.match(reasons, /Imported via 'msg-zerocopy' from file 'by-require\.cts'/);
    assert.doesNotMatch(reasons, /by-import/);
  });

  it('are specific, not any', () => {
    assert.match(complaints('wrong.mts').join('\n'), /TS2769|TS2322/);
  });

  it("do not expose the package's internals", () => {
    assert.match(complaints('deep.mts').join('\n'), /TS2307/);
  });
});
