// The package in deployments that have other files than npm installed: traced (serverless functions,
// standalone folders), bundled, and in single executable applications.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { platformPackage } from '../../lib/native/loader';
import { type AppReport, runApp, writeApp } from '../helpers/installed-app';
import { installProject, makeTarballs, ownPlatform, ROOT } from '../helpers/tarballs';

const LOADED: AppReport = { addon: 'yes', reason: '', diagnosed: true, copied: false };
const UNBUNDLE =
  "remedy: name msg-zerocopy in the bundler's `external` setting (esbuild --external:msg-zerocopy) and " +
  "install it beside the bundle, or set MSG_ZEROCOPY_ADDON to the addon's file";
const ADDON = path.join(ROOT, 'build/Release/msg_zerocopy.node');
// A bundle of CommonJS as an ES module needs it for every package, says esbuild's documentation.
const REQUIRE =
  "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";
const FORMATS = [
  { title: 'as CommonJS', entry: 'app.js', out: 'app.cjs', flags: ['--format=cjs'] },
  {
    title: 'as an ES module, which has no __dirname',
    entry: 'app.mjs',
    out: 'app.mjs',
    flags: ['--format=esm', `--banner:js=${REQUIRE}`],
  },
];

function runTool(argv: readonly string[], cwd: string): string {
  const [file = '', ...rest] = argv;
  const { status, stdout, stderr } = spawnSync(file, rest, { cwd, encoding: 'utf8' });
  assert.equal(status, 0, `${argv.join(' ')}: ${stdout}${stderr}`);
  return stdout;
}

describe('the package when only part of what npm installed is deployed', function () {
  this.timeout(240_000);
  const folder = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-bundles-'));
  const project = path.join(folder, 'project');
  const name = platformPackage(ownPlatform());

  before(() => {
    const { main, platform, dependencies } = makeTarballs(folder);
    installProject(project, [main, platform, ...dependencies], ['--ignore-scripts']);
    writeApp(project);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  function trace(entry: string): string[] {
    const script = `require('@vercel/nft').nodeFileTrace([${JSON.stringify(entry)}], { base: '.' })
      .then(({ fileList }) => console.log(JSON.stringify([...fileList])));`;
    // In the checkout the tool is found, and only there.
    const env = { ...process.env, NODE_PATH: path.join(ROOT, 'node_modules') };
    const options = { cwd: project, env, encoding: 'utf8' } as const;
    const { stdout, stderr } = spawnSync(process.execPath, ['-e', script], options);
    assert.notEqual(stdout, '', stderr);
    return JSON.parse(stdout) as string[];
  }

  for (const entry of ['app.js', 'app.mjs']) {
    it(`loads its binary from the files that @vercel/nft traced from ${entry}`, async () => {
      const files = trace(entry);
      assert.ok(files.includes(`node_modules/${name}/msg_zerocopy.node`), files.join('\n'));
      const deployed = path.join(folder, `traced-${entry}`);
      for (const file of files) cpSync(path.join(project, file), path.join(deployed, file));
      assert.deepEqual(await runApp([process.execPath, path.join(deployed, entry)]), LOADED);
    });
  }

  it('loads a locally compiled binary, which is traced, too', () => {
    const built = path.join(project, 'node_modules/msg-zerocopy/build/Release');
    mkdirSync(built, { recursive: true });
    copyFileSync(ADDON, path.join(built, 'msg_zerocopy.node'));
    try {
      const files = trace('app.js');
      assert.ok(files.includes('node_modules/msg-zerocopy/build/Release/msg_zerocopy.node'));
    } finally {
      rmSync(path.join(built, '../..', 'build'), { recursive: true });
    }
  });

  function bundle(out: string, entry: string, flags: readonly string[]): string {
    const esbuild = path.join(ROOT, 'node_modules/esbuild/bin/esbuild');
    const same = ['--bundle', '--platform=node', '--log-level=error', `--outfile=${out}`];
    runTool([esbuild, entry, ...same, ...flags], project);
    return out;
  }

  for (const { title, entry, out, flags } of FORMATS) {
    describe(`bundled ${title}`, () => {
      it("copies and names the bundler's setting, and ignores a foreign build two folders up", async () => {
        const elsewhere = path.join(folder, `bundled-${out}`);
        mkdirSync(path.join(elsewhere, 'build/Release'), { recursive: true });
        writeFileSync(path.join(elsewhere, 'package.json'), '{ "name": "somebody-elses" }');
        // It would load.
        copyFileSync(ADDON, path.join(elsewhere, 'build/Release/msg_zerocopy.node'));
        const file = bundle(path.join(elsewhere, 'dist/server', out), entry, flags);
        const report = await runApp([process.execPath, file]);
        const why = 'addon-unavailable: this code was moved out of its package, as bundlers do; ';
        assert.deepEqual(report, {
          addon: 'no',
          reason: `${why}${name}: not installed; ${UNBUNDLE}`,
          diagnosed: false,
          copied: true,
        });
      });

      it('loads the binary installed beside the bundle', async () => {
        const file = bundle(path.join(project, 'dist', out), entry, flags);
        assert.deepEqual(await runApp([process.execPath, file]), LOADED);
      });

      it('loads the binary when the package is external', async () => {
        const external = [...flags, '--external:msg-zerocopy'];
        const file = bundle(path.join(project, 'external', out), entry, external);
        assert.deepEqual(await runApp([process.execPath, file]), LOADED);
      });

      it('loads the file that MSG_ZEROCOPY_ADDON names', async () => {
        const file = bundle(path.join(folder, 'named/dist/server', out), entry, flags);
        const env = { MSG_ZEROCOPY_ADDON: ADDON };
        assert.deepEqual(await runApp([process.execPath, file], env), LOADED);
      });
    });
  }

  describe('in a single executable application', () => {
    let program = '';

    before(() => {
      const home = path.join(folder, 'executable');
      mkdirSync(home);
      bundle(path.join(home, 'app.cjs'), 'app.js', ['--format=cjs']);
      const config = { main: 'app.cjs', output: 'app.blob', disableExperimentalSEAWarning: true };
      writeFileSync(path.join(home, 'sea.json'), JSON.stringify(config));
      runTool([process.execPath, '--experimental-sea-config', 'sea.json'], home);
      program = path.join(home, 'app');
      copyFileSync(process.execPath, program);
      const postject = path.join(ROOT, 'node_modules/postject/dist/cli.js');
      const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';
      const argv = [program, 'NODE_SEA_BLOB', 'app.blob', '--sentinel-fuse', fuse];
      runTool([process.execPath, postject, ...argv], home);
    });

    it('loads the file that MSG_ZEROCOPY_ADDON names', async () => {
      assert.deepEqual(await runApp([program], { MSG_ZEROCOPY_ADDON: ADDON }), LOADED);
    });

    it('copies when no file is named, and says how to name one', async () => {
      const report = await runApp([program]);
      assert.deepEqual([report.addon, report.copied], ['no', true]);
      assert.ok(report.reason.endsWith(UNBUNDLE), report.reason);
    });

    it('reports what is wrong with the file that MSG_ZEROCOPY_ADDON names', async () => {
      const file = path.join(folder, 'no-such.node');
      assert.ok(!existsSync(file));
      const report = await runApp([program], { MSG_ZEROCOPY_ADDON: file });
      assert.deepEqual([report.addon, report.copied], ['no', true]);
      assert.match(report.reason, /no-such\.node: cannot open shared object file/);
    });
  });
});
