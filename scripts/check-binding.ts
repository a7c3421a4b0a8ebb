// Fails when what lib/native/ declares of the addon and what the addon exports are
// not the same set of names.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { loadNative } from '../lib/native/binding.js';

const root = path.resolve(__dirname, '../..');
const sources = ['binding', 'binding-constants', 'described'].map((name) => {
  const file = path.join(root, 'lib/native', `${name}.ts`);
  return ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.ES2022, true);
});

function declaredMembers(name: string): string[] {
  const members: string[] = [];
  for (const source of sources) {
    source.forEachChild((node) => {
      if (!ts.isInterfaceDeclaration(node) || node.name.text !== name) return;
      for (const member of node.members) if (member.name) members.push(member.name.getText(source));
    });
  }
  return members.sort();
}

function compare(what: string, declared: readonly string[], actual: readonly string[]): boolean {
  const missing = declared.filter((name) => !actual.includes(name));
  const extra = actual.filter((name) => !declared.includes(name));
  if (missing.length > 0) console.error(`${what}: declared, not exported: ${missing.join(', ')}`);
  if (extra.length > 0) console.error(`${what}: exported, not declared: ${extra.join(', ')}`);
  return missing.length + extra.length === 0 && declared.length > 0;
}

const loaded = loadNative();
if (loaded.native === undefined) {
  console.error(`check-binding: the addon does not load: ${loaded.why}`);
  process.exit(1);
}
const { native } = loaded;
const results = [
  // `path` is put there by the `bindings` package when it loads an addon.
  compare(
    'Native',
    declaredMembers('Native'),
    Object.keys(native).filter((name) => name !== 'path'),
  ),
  compare('KernelConstants', declaredMembers('KernelConstants'), Object.keys(native.kernel)),
  compare('NativeConstants', declaredMembers('NativeConstants'), Object.keys(native.constants)),
  compare(
    'NativeDescription',
    declaredMembers('NativeDescription'),
    Object.keys(native.describe()),
  ),
];
if (results.includes(false)) process.exit(1);
console.log('check-binding: lib/native/binding.ts and the addon agree');
