// What loads the addon is broken: writes, capabilities() and the doctor go on, and say what it is.
import assert from 'node:assert/strict';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { platformPackage } from '../../lib/native/loader';
import { type AppReport, runApp, writeApp } from '../helpers/installed-app';
import { ownPlatform, ROOT } from '../helpers/tarballs';

const LOADED: AppReport = { addon: 'yes', reason: '', diagnosed: true, copied: false };
const NAME = platformPackage(ownPlatform());
const BUILD = 'remedy: npx msg-zerocopy build';
const isRoot = process.geteuid?.() === 0;
const AS_NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];

describe('a project in which the addon cannot be loaded', () => {
  let folder = '';
  let project = '';

  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-faults-'));
    chmodSync(folder, 0o755);
    project = path.join(folder, 'project');
    for (const part of ['dist/lib', 'package.json']) {
      cpSync(path.join(ROOT, part), modules('msg-zerocopy', part), { recursive: true });
    }
    for (const dependency of ['bindings', 'file-uri-to-path', 'detect-libc', 'ipaddr.js']) {
      cpSync(path.join(ROOT, 'node_modules', dependency), modules(dependency), { recursive: true });
    }
    mkdirSync(modules(NAME), { recursive: true });
    copyFileSync(path.join(ROOT, 'build/Release/msg_zerocopy.node'), binary());
    describeBinary({ main: 'msg_zerocopy.node' });
    writeApp(project);
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function modules(...names: string[]): string {
    return path.join(project, 'node_modules', ...names);
  }

  function binary(): string {
    return modules(NAME, 'msg_zerocopy.node');
  }

  function describeBinary(fields: object): void {
    writeFileSync(modules(NAME, 'package.json'), JSON.stringify({ name: NAME, ...fields }));
  }

  function breakModule(name: string, text: string): void {
    const manifest = JSON.stringify({ name, main: 'broken.js' });
    rmSync(modules(name), { recursive: true });
    mkdirSync(modules(name));
    writeFileSync(modules(name, 'package.json'), manifest);
    writeFileSync(modules(name, 'broken.js'), text);
  }

  function buildLocally(): void {
    const built = modules('msg-zerocopy', 'build/Release');
    mkdirSync(built, { recursive: true });
    copyFileSync(binary(), path.join(built, 'msg_zerocopy.node'));
  }

  const run = (...options: string[]): Promise<AppReport> =>
    runApp([process.execPath, ...options, path.join(project, 'app.js')]);

  async function assertCopies(reason: RegExp, report = run()): Promise<void> {
    const { reason: said, ...rest } = await report;
    assert.deepEqual(rest, { addon: 'no', diagnosed: false, copied: true });
    assert.match(said, reason);
  }

  it('loads it when nothing is broken', async () => {
    assert.deepEqual(await run(), LOADED);
  });

  it('loads it without detect-libc', async () => {
    rmSync(modules('detect-libc'), { recursive: true });
    assert.deepEqual(await run(), LOADED);
  });

  it('loads it when detect-libc throws, on loading or when called', async () => {
    breakModule('detect-libc', 'throw new Error("broken");');
    assert.deepEqual(await run(), LOADED);
    breakModule('detect-libc', 'exports.familySync = () => { throw null; };');
    assert.deepEqual(await run(), LOADED);
  });

  it('loads the published binary when `bindings` is missing', async () => {
    buildLocally();
    rmSync(modules('bindings'), { recursive: true });
    assert.deepEqual(await run(), LOADED);
  });

  it('copies when the package of the binary exports nothing', async () => {
    describeBinary({ exports: {} });
    await assertCopies(new RegExp(`local build: none; ${NAME}: No "exports" main .*${BUILD}$`));
  });

  it("copies when the binary's package.json is not valid JSON", async () => {
    writeFileSync(modules(NAME, 'package.json'), '{');
    await assertCopies(new RegExp(`${NAME}: .*${BUILD}$`));
  });

  it('copies when the binary is all but empty', async () => {
    writeFileSync(binary(), readFileSync(binary()).subarray(0, 32));
    await assertCopies(new RegExp(`${NAME}: .*file too short; ${BUILD}$`));
  });

  it('copies when the binary is another library', async () => {
    writeFileSync(binary(), 'no library at all, but long enough to be one of them: '.repeat(99));
    await assertCopies(new RegExp(`${NAME}: .*invalid ELF header; ${BUILD}$`));
  });

  it('copies when there is a folder in place of the binary', async () => {
    rmSync(binary());
    mkdirSync(binary());
    await assertCopies(new RegExp(`${NAME}: .*; ${BUILD}$`));
  });

  it('copies when the binary is not readable', async () => {
    chmodSync(binary(), 0);
    const command = [process.execPath, path.join(project, 'app.js')];
    const report = runApp([...(isRoot ? AS_NOBODY : []), ...command]);
    await assertCopies(new RegExp(`${NAME}: .*Permission denied; ${BUILD}$`), report);
  });

  it('copies under --no-addons, and names the flag', async () => {
    await assertCopies(
      new RegExp(`${NAME}: .*disabled.*; remedy: start Node without --no-addons$`),
      run('--no-addons'),
    );
  });

  it('copies under the permission model, and names the flag that allows addons', async () => {
    const flag = process.allowedNodeEnvironmentFlags.has('--permission')
      ? '--permission'
      : '--experimental-permission';
    const net = process.allowedNodeEnvironmentFlags.has('--allow-net') ? ['--allow-net'] : [];
    const remedy = new RegExp(`${NAME}: .*; remedy: start Node with --allow-addons$`);
    const options = [flag, '--allow-fs-read=*', ...net];
    await assertCopies(remedy, run(...options));
    assert.equal((await run(...options, '--allow-addons')).addon, 'yes');
  });
});
