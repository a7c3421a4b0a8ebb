// What README.md and docs/ print runs as it is printed: every block of JavaScript, every command.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseOptions } from '../../bench/options';
import { diagnose } from '../../lib';
import { parse as parseSelftest } from '../../scripts/selftest/arguments';
import { ROOT } from '../helpers/tarballs';

// A port in the text may be in use: the kernel chooses another, and the block prints it.
const ANY_PORT = `
const { Server } = require('node:net');
const { listen } = Server.prototype;
Server.prototype.listen = function (port, ...rest) {
  if (port === 0) return listen.call(this, port, ...rest);
  return listen.call(this, 0, '127.0.0.1', () => console.log(this.address().port));
};`;
const CLI = path.join(ROOT, 'dist/scripts/cli.js');
const ROOM_FOR_ONE_BLOCK_MS = 30_000;

interface Block {
  readonly document: string;
  readonly line: number;
  readonly language: string;
  readonly text: string;
}

function read(document: string): string {
  return readFileSync(path.join(ROOT, document), 'utf8');
}

const documents = [
  'README.md',
  'CONTRIBUTING.md',
  'examples/README.md',
  'examples/deploy/README.md',
  ...readdirSync(path.join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

const blocks: readonly Block[] = documents.flatMap((document) => {
  const whole = read(document);
  return [...whole.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map((match) => ({
    document,
    line: whole.slice(0, match.index).split('\n').length,
    language: match[1] ?? '',
    text: match[2] ?? '',
  }));
});

// In the checkout the package finds itself by its name.
function start({ text }: Block, preload: string): ReturnType<typeof spawn> {
  const type = /^import /m.test(text) ? ['--input-type=module'] : [];
  return spawn(process.execPath, ['--require', preload, ...type, '-e', text], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: ROOM_FOR_ONE_BLOCK_MS,
  });
}

/** What a block that serves until it is stopped answers to one request. */
async function answerOf(child: ReturnType<typeof spawn>): Promise<string> {
  assert.ok(child.stdout !== null);
  const [said] = (await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'close').then(() => assert.fail('the block ended before it listened')),
  ])) as [Buffer];
  const response = await fetch(`http://127.0.0.1:${String(said).trim()}/`);
  assert.equal(response.status, 200);
  return response.text();
}

/** What the servers that README.md shows answer, by a word of theirs. */
function expectedAnswer(text: string): string {
  if (text.includes('sendFile')) return read('README.md');
  return 'large enough'.repeat(1024 * 1024).slice(0, 1024 * 1024);
}

function needsRoot({ text }: Block): boolean {
  return /create(Raw|Packet)Socket/.test(text) && process.geteuid?.() !== 0;
}

describe('the JavaScript of the documents', () => {
  let folder = '';
  let preload = '';

  before(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-documents-'));
    preload = path.join(folder, 'any-port.cjs');
    writeFileSync(preload, ANY_PORT);
  });
  after(() => rmSync(folder, { recursive: true }));

  for (const block of blocks.filter(({ language }) => language === 'js')) {
    const title = `${block.document}:${block.line}`;
    if (needsRoot(block)) {
      it(`skipped: ${title}: raw and packet sockets need root (remedy: run as root)`);
      continue;
    }
    if (/\.listen\(8080\)/.test(block.text)) {
      it(`${title} serves what it says`, async () => {
        const child = start(block, preload);
        const ended = once(child, 'close');
        try {
          assert.equal(await answerOf(child), expectedAnswer(block.text));
        } finally {
          child.kill();
          await ended;
        }
      });
      continue;
    }
    it(`${title} runs to its end without an error`, async () => {
      const child = start(block, preload);
      let errors = '';
      child.stderr?.on('data', (chunk: Buffer) => (errors += String(chunk)));
      child.stdout?.resume();
      const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
      assert.deepEqual({ code, signal }, { code: 0, signal: null }, errors);
      // A block about changed buffers is warned of; nothing else has anything to say.
      if (block.text.includes('too early')) assert.match(errors, /ZC_BUFFER_MUTATED/);
      else assert.equal(errors, '');
    });
  }

  it('is found in the documents', () => {
    const count = (document: string): number =>
      blocks.filter((one) => one.document === document && one.language === 'js').length;
    assert.ok(count('README.md') >= 2);
    assert.ok(count('docs/udp.md') >= 1);
    assert.ok(count('docs/raw-and-packet.md') >= 2);
  });
});

/** The commands of shell blocks, and those that stand in tables and sentences. */
const commands = [
  ...blocks
    .filter(({ language }) => language === 'sh')
    .flatMap(({ document, text }) => text.split('\n').map((line) => ({ document, line }))),
  ...documents.flatMap((document) =>
    [...read(document).matchAll(/`((?:npm run|npx msg-zerocopy) [^`]+)`/g)].map(
      ([, line = '']) => ({ document, line: line.replaceAll('\n', ' ').replaceAll('\\|', '|') }),
    ),
  ),
]
  .map(({ document, line }) => ({ document, line: line.replace(/\s+#.*$/, '').trim() }))
  .filter(({ line }) => line !== '');

const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
const wordsOf = (line: string): string[] => line.split(/\s+/).filter((word) => word !== '');

/** Throws: where a command is not one that there is. Nothing that takes long, or changes the machine, is run. */
function checkCommand(line: string): void {
  for (const one of line.split('&&').map((part) => part.trim())) {
    const [program, ...rest] = wordsOf(one.replace(/^(\w+=('[^']*'|\S+) )+/, ''));
    if (program === 'npm') checkNpm(rest, one);
    else if (program === 'npx') checkNpx(rest, one);
    else if (program === 'node') checkNode(rest, one);
    else assert.ok(program === 'git', one);
  }
}

function checkNpm([verb, ...rest]: string[], line: string): void {
  if (verb !== 'run') {
    assert.ok(['install', 'test', 'start', 'version'].includes(verb ?? ''), line);
    return;
  }
  const [name = '', ...more] = rest;
  assert.ok(scripts[name] !== undefined, line);
  const dashes = more.indexOf('--');
  if (name === 'bench') parseOptions(dashes === -1 ? [] : more.slice(dashes + 1));
}

function checkNpx([name, command = '', ...rest]: string[], line: string): void {
  if (name === 'mocha') return;
  assert.equal(name, 'msg-zerocopy', line);
  if (command === 'selftest') parseSelftest(rest);
  else assert.ok(['bench', 'build', 'doctor', '--version'].includes(command), line);
}

function checkNode(rest: string[], line: string): void {
  const file = rest.find((word) => /\.m?js$/.test(word) && word !== 'app.js');
  if (file !== undefined) assert.ok(existsSync(path.join(ROOT, file)), line);
  const used = rest.filter((word) => word.startsWith('msg-zerocopy/'));
  for (const name of used) assert.ok(require.resolve(name), line);
}

describe('the commands of the documents', () => {
  it('exist in the package or the checkout, with the options shown', () => {
    assert.ok(commands.length >= 30);
    for (const { document, line } of commands) {
      assert.doesNotThrow(() => checkCommand(line), `${document}: ${line}`);
    }
  });

  const asked = commands.filter(
    ({ line }) => /^npx msg-zerocopy doctor( |$)/.test(line) && !/HOST|FILE|write|\|/.test(line),
  );
  for (const line of new Set(asked.map((one) => one.line))) {
    it(`${line} gives the same answer as diagnose()`, async () => {
      const args = wordsOf(line).slice(2);
      const { zeroCopy } = await diagnose(args.slice(1).find((word) => !word.startsWith('-')));
      const { status, stdout } = spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8' });
      assert.equal(status, zeroCopy ? 0 : 1, stdout);
    });
  }
});

/** The name that a heading gets as the target of a link. */
function anchorOf(heading: string): string {
  const words = heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, '');
  return words.trim().replaceAll(' ', '-');
}

describe('the links of the documents', () => {
  it('lead to files and headings that exist', () => {
    const dead = [...documents, 'SECURITY.md', 'CHANGELOG.md'].flatMap((document) =>
      [...read(document).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)/g)]
        .filter(([, file = '', anchor]) => {
          const target = file === '' ? document : path.join(path.dirname(document), file);
          if (!existsSync(path.join(ROOT, target))) return true;
          if (anchor === undefined) return false;
          const headings = [...read(target).matchAll(/^#+ (.*)$/gm)].map(([, text = '']) => text);
          return !headings.some((heading) => anchorOf(heading) === anchor);
        })
        .map(([link]) => `${document}: ${link}`),
    );
    assert.deepEqual(dead, []);
  });
});
