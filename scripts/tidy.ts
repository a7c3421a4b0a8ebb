// Checks the sentences of docs/architecture.md that a program can check: which way the arrows point,
// who touches what, and how long files and functions are.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

const root = path.resolve(__dirname, '../..');
const MOST_FILE_LINES = 400;
const MOST_FUNCTION_LINES = 70;

const complaints: string[] = [];

function complain(file: string, what: string): void {
  complaints.push(`${file}: ${what}`);
}

const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
});
const files = listed.split('\n').filter((file) => /\.(ts|mts|mjs|cc|c|h)$/.test(file));

function read(file: string): string {
  return readFileSync(path.join(root, file), 'utf8');
}

function importsOf(source: ts.SourceFile): { from: string; typeOnly: boolean }[] {
  const imports: { from: string; typeOnly: boolean }[] = [];
  source.forEachChild((node) => {
    if (!ts.isImportDeclaration(node) || !ts.isStringLiteral(node.moduleSpecifier)) return;
    const typeOnly = node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword;
    imports.push({ from: node.moduleSpecifier.text, typeOnly });
  });
  return imports;
}

function checkArrows(file: string, source: ts.SourceFile): void {
  const imports = importsOf(source);
  const values = imports.filter((i) => !i.typeOnly).map((i) => i.from);
  if (file.startsWith('lib/policy/') && values.some((from) => !from.startsWith('./'))) {
    complain(file, 'policy imports something beside types and policy');
  }
  if (file === 'lib/send/inflight.ts' && values.length > 0)
    complain(file, 'inflight is to be pure');
  if (
    file.startsWith('lib/send/') &&
    values.some((from) => /\/(tcp|udp|raw|packet|datagram|doctor|node\/internals)/.test(from))
  ) {
    complain(file, 'an engine imports what stands above it');
  }
  if (
    file.startsWith('lib/') &&
    values.some((from) => /\.\.\/(test|bench|scripts|examples)/.test(from))
  ) {
    complain(file, 'the library imports from outside of lib/');
  }
}

function checkDoors(file: string, text: string): void {
  if (!file.startsWith('lib/')) return;
  if (
    file !== 'lib/node/internals.ts' &&
    /\._(handle|unrefTimer|pendingData|pendingEncoding)\b/.test(text)
  ) {
    complain(file, "touches Node's internals outside of node/internals.ts");
  }
  if (file !== 'lib/native/binding.ts' && /require\(/.test(text)) {
    complain(file, 'loads something outside of native/binding.ts');
  }
}

function checkNative(file: string, text: string): void {
  if (file.startsWith('native/kernel/') && /#include\s+[<"](napi|node_api|uv)/.test(text)) {
    complain(file, 'the kernel layer includes Node or libuv');
  }
  if (file.startsWith('native/kernel/') && /#include\s+"node\//.test(text)) {
    complain(file, 'the kernel layer includes the node layer');
  }
}

function checkFunctions(file: string, source: ts.SourceFile): void {
  const visit = (node: ts.Node): void => {
    const titled =
      ts.isFunctionDeclaration(node) ||
      ts.isMethodDeclaration(node) ||
      ts.isConstructorDeclaration(node);
    if (titled && node.body !== undefined) {
      const from = source.getLineAndCharacterOfPosition(node.getStart(source)).line;
      const lines = source.getLineAndCharacterOfPosition(node.end).line - from + 1;
      if (lines > MOST_FUNCTION_LINES) {
        complain(file, `${node.name?.getText(source) ?? 'constructor'} has ${lines} lines`);
      }
    }
    node.forEachChild(visit);
  };
  visit(source);
}

for (const file of files) {
  const text = read(file);
  const lines = text.split('\n').length - 1;
  if (lines > MOST_FILE_LINES && !file.startsWith('test/')) complain(file, `${lines} lines`);
  if (/(^|\/)(utils?|managers?|helpers?)\.[a-z]+$/.test(file))
    complain(file, 'says nothing by its name');
  checkNative(file, text);
  if (!/\.m?ts$/.test(file)) continue;
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true);
  checkArrows(file, source);
  checkDoors(file, text);
  // A piece of a test that runs in another process has to stand in one function.
  if (!file.startsWith('test/')) checkFunctions(file, source);
}

if (complaints.length > 0) {
  console.error(complaints.join('\n'));
  process.exit(1);
}
console.log(`tidy: ${files.length} files`);
