// A project that has a lock file is installed again, on a machine without a compiler: nothing is compiled
// then, and the published binary is loaded.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { PLATFORMS } from '../../lib/native/loader';
import { type AppReport, runApp, writeApp } from '../helpers/installed-app';
import {
  installManager,
  managerEnvironment,
  PACKAGE_MANAGERS,
  type PackageManager,
} from './package-managers';
import { type Registry, startRegistry } from './registry';
import { makeTarballs } from '../helpers/tarballs';

const run = promisify(execFile);

describe('a project with a lock file, on a machine without a compiler', function () {
  this.timeout(300_000);
  const folder = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-lock-'));
  // What PATH names: Node and a shell.
  const programs = path.join(folder, 'programs');
  const node = path.join(programs, 'node');
  let registry: Registry;

  before(async () => {
    const { main, platforms, dependencies } = makeTarballs(folder, PLATFORMS);
    registry = await startRegistry([main, ...platforms, ...dependencies]);
    mkdirSync(programs);
    placeNode();
    symlinkSync('/bin/sh', path.join(programs, 'sh'));
  });
  after(() => {
    registry.close();
    rmSync(folder, { recursive: true, force: true });
  });

  // Not by a symbolic link: package managers put the folder of the file it leads to on PATH.
  function placeNode(): void {
    try {
      linkSync(realpathSync(process.execPath), node);
    } catch {
      copyFileSync(process.execPath, node);
    }
  }

  class Project {
    readonly folder: string;
    readonly #env: Record<string, string>;
    readonly #program: string;

    constructor(
      readonly manager: PackageManager,
      what = 'whole',
    ) {
      const home = path.join(folder, `${manager.title.replace(/\W+/g, '-')}-${what}`);
      this.folder = path.join(home, 'project');
      mkdirSync(this.folder, { recursive: true });
      writeFileSync(path.join(this.folder, 'package.json'), '{ "name": "app", "private": true }');
      // Yarn takes the folder for a project of its own by this.
      writeFileSync(path.join(this.folder, 'yarn.lock'), '');
      if (!manager.title.startsWith('Yarn')) rmSync(path.join(this.folder, 'yarn.lock'));
      writeApp(this.folder);
      this.#program = installManager(manager, path.join(home, 'manager'));
      this.#env = { ...managerEnvironment(manager, registry.url, home), PATH: programs };
    }

    async call(...argv: readonly string[]): Promise<void> {
      const options = { cwd: this.folder, env: this.#env };
      try {
        await run(node, [this.#program, ...argv], options);
      } catch (error) {
        const { stdout, stderr } = error as { stdout: string; stderr: string };
        throw new Error(`${this.manager.title} ${argv.join(' ')}: ${stdout}\n${stderr}`);
      }
    }

    forget(): void {
      for (const name of ['node_modules', '.pnp.cjs', '.yarn']) {
        rmSync(path.join(this.folder, name), { recursive: true, force: true });
      }
    }

    app(): Promise<AppReport> {
      const built = path.join(this.folder, 'node_modules/msg-zerocopy/build');
      assert.ok(!existsSync(built), 'it was compiled');
      const { nodeOptions = [] } = this.manager;
      const required = nodeOptions.map((word) => word.replace('./', `${this.folder}/`));
      return runApp([node, ...required, path.join(this.folder, 'app.js')]);
    }

    async assertWorks(): Promise<void> {
      const whole = { addon: 'yes', reason: '', diagnosed: true, copied: false };
      assert.deepEqual(await this.app(), whole);
    }

    // The binary is missing, and the command that the reason names installs it.
    async assertMended(): Promise<void> {
      const { addon, reason, copied } = await this.app();
      assert.deepEqual([addon, copied], ['no', true]);
      const [, npm, command = ''] =
        /: not installed; remedy: (npm) (install \S+), or compile it: /.exec(reason) ?? [];
      assert.equal(npm, 'npm', reason);
      await this.call(...command.split(' '));
      await this.assertWorks();
    }
  }

  for (const manager of PACKAGE_MANAGERS) {
    it(`installs, reinstalls from its lock file, and does so again, by ${manager.title}`, async () => {
      const project = new Project(manager);
      await project.call(...manager.add, 'msg-zerocopy');
      await project.assertWorks();
      for (const argv of [manager.frozen, manager.again]) {
        project.forget();
        await project.call(...argv);
        await project.assertWorks();
      }
    });
  }

  for (const manager of PACKAGE_MANAGERS.filter(({ title }) => title.startsWith('npm'))) {
    it(`gets the binary by the remedy after ${manager.title} --omit=optional left it out`, async () => {
      const project = new Project(manager, 'omitted');
      await project.call(...manager.add, '--omit=optional', 'msg-zerocopy');
      await project.assertMended();
    });

    // npm 11 writes the packages of other platforms down.
    const forgets = manager.title === 'npm 10';
    const gets = forgets ? 'gets the binary by the remedy' : 'has the binary';
    it(`${gets}, where ${manager.title} wrote the lock file on a Mac`, async () => {
      const project = new Project(manager, 'mac');
      const mac = ['--os=darwin', '--cpu=arm64'];
      await project.call(...manager.add, ...mac, 'msg-zerocopy');
      // Written from the installed packages, as after deleting it.
      rmSync(path.join(project.folder, 'package-lock.json'));
      await project.call(...manager.again, ...mac);
      project.forget();
      await project.call(...manager.frozen);
      await (forgets ? project.assertMended() : project.assertWorks());
    });
  }
});
