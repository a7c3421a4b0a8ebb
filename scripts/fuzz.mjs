// Fuzzes the parsers of native/kernel by libFuzzer, or replays the inputs that are kept.
// Usage: npm run fuzz -- [--minutes N] [--jobs N] [--only target] [--keep]
//        npm run fuzz -- --replay [--only target]
//   --minutes  for each target, 1 by default; may be a fraction
//   --jobs     targets at once, 1 by default
//   --keep     afterwards adds to test/fuzz/corpus what covers more than is there
//   --replay   gives each target its kept inputs; g++ suffices
// Inputs found on the way stay in build-fuzz/corpus, those that break a target in build-fuzz/findings.
// Status 1: something broke.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { build, corpus, inputs, targets } from './fuzz-targets.mjs';
import { root } from './mocha.mjs';

const WORK = path.join(root, 'build-fuzz');
const FINDINGS = path.join(WORK, 'findings');
// No message that the kernel makes for these parsers is longer.
const MOST_BYTES = 4096;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    jobs: { type: 'string', default: '1' },
    only: { type: 'string' },
    keep: { type: 'boolean', default: false },
    replay: { type: 'boolean', default: false },
  },
});

function quit(message) {
  console.error(`fuzz: ${message}`);
  process.exit(2);
}

const minutes = Number(values.minutes);
const jobs = Number(values.jobs);
if (!(minutes > 0)) quit(`--minutes must be more than 0, not ${values.minutes}`);
if (!Number.isInteger(jobs) || jobs < 1) quit(`--jobs must be 1 or more, not ${values.jobs}`);
const all = targets();
if (values.only !== undefined && !all.includes(values.only)) {
  quit(`--only must be one of ${all.join(', ')}, not '${values.only}'`);
}
const chosen = values.only === undefined ? all : [values.only];

// --- replay --------------------------------------------------------------------------------------

/** Whether the target holds for all its kept inputs. */
function replay(target, folder) {
  const files = inputs(target);
  if (files.length === 0) quit(`no inputs in ${corpus(target)}`);
  const run = spawnSync(build(target, 'replay', folder), files, { encoding: 'utf8' });
  const good = run.status === 0 && run.stdout === `${files.length} replayed\n`;
  console.log(`${target}: ${good ? run.stdout.trim() : `broken (${run.signal ?? run.status})`}`);
  if (!good) console.error(run.stderr.slice(-8000));
  return good;
}

function replayAll() {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'fuzz-replay-'));
  try {
    return chosen.map((target) => replay(target, folder)).every(Boolean);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

// --- fuzzing -------------------------------------------------------------------------------------

function grown(target) {
  return path.join(WORK, 'corpus', target);
}

function run(program, argv) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, argv, { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] });
    let text = '';
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (chunk) => (text += chunk));
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, text }));
  });
}

function lastNumber(text, pattern) {
  return Number([...text.matchAll(pattern)].at(-1)?.[1] ?? 0);
}

async function fuzz(target) {
  mkdirSync(grown(target), { recursive: true });
  mkdirSync(corpus(target), { recursive: true });
  const program = build(target, 'fuzzer', WORK);
  const { status, text } = await run(program, [
    `-max_total_time=${Math.ceil(minutes * 60)}`,
    `-max_len=${MOST_BYTES}`,
    '-timeout=10',
    '-print_final_stats=1',
    `-artifact_prefix=${FINDINGS}/${target}-`,
    grown(target),
    corpus(target),
  ]);
  if (status !== 0) console.error(text.slice(-8000));
  else if (values.keep) {
    const merged = await run(program, ['-merge=1', corpus(target), grown(target)]);
    if (merged.status !== 0) quit(`merging ${target}: ${merged.text.slice(-2000)}`);
  }
  return {
    target,
    executions: lastNumber(text, /stat::number_of_executed_units:\s+(\d+)/g),
    edges: lastNumber(text, /\bcov: (\d+)/g),
    features: lastNumber(text, /\bft: (\d+)/g),
    kept: readdirSync(corpus(target)).length,
    broken: status !== 0,
  };
}

async function fuzzAll() {
  mkdirSync(FINDINGS, { recursive: true });
  const waiting = [...chosen];
  const results = [];
  const worker = async () => {
    for (let target = waiting.shift(); target !== undefined; target = waiting.shift()) {
      results.push(await fuzz(target));
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  console.table(results);
  if (!results.some(({ broken }) => broken)) return true;
  console.error(
    `the failing inputs are in ${FINDINGS}: fix the bug, and keep them in test/fuzz/corpus`,
  );
  return false;
}

process.exitCode = (values.replay ? replayAll() : await fuzzAll()) ? 0 : 1;
