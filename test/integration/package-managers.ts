// The package managers that a project may be installed by, as exact versions: how each is called, and
// how it is told of a registry. npm's two run in every suite, the others where the environment variable
// MSG_ZEROCOPY_TEST_MANAGERS is 'all'.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { runCommand } from '../../scripts/rig/commands';

export interface PackageManager {
  readonly title: string;
  /** As npm installs it. */
  readonly spec: string;
  readonly add: readonly string[];
  /** Installs what the lock file says, and nothing else. */
  readonly frozen: readonly string[];
  readonly again: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Options that Node needs to find packages. */
  readonly nodeOptions?: readonly string[];
}

const npm = { add: ['install', '--no-audit'], frozen: ['ci', '--no-audit'], again: ['install'] };
const pnpm = {
  add: ['add'],
  frozen: ['install', '--frozen-lockfile'],
  again: ['install'],
};
const berry = {
  spec: '@yarnpkg/cli-dist@4.18.1',
  add: ['add'],
  frozen: ['install', '--immutable'],
  again: ['install'],
};

const ALWAYS: readonly PackageManager[] = [
  { title: 'npm 10', spec: 'npm@10.9.9', ...npm },
  { title: 'npm 11', spec: 'npm@11.21.2', ...npm },
];
const OTHERS: readonly PackageManager[] = [
  { title: 'pnpm 9', spec: 'pnpm@9.15.9', ...pnpm },
  { title: 'pnpm 10', spec: 'pnpm@10.34.9', ...pnpm },
  {
    title: 'Yarn 1',
    spec: 'yarn@1.22.22',
    add: ['add', '--non-interactive'],
    frozen: ['install', '--frozen-lockfile', '--non-interactive'],
    again: ['install', '--non-interactive'],
  },
  { title: 'Yarn 4, node_modules', ...berry, env: { YARN_NODE_LINKER: 'node-modules' } },
  {
    title: "Yarn 4, Plug'n'Play",
    ...berry,
    env: { YARN_NODE_LINKER: 'pnp' },
    nodeOptions: ['--require', './.pnp.cjs'],
  },
];

export const PACKAGE_MANAGERS =
  process.env['MSG_ZEROCOPY_TEST_MANAGERS'] === 'all' ? [...ALWAYS, ...OTHERS] : ALWAYS;

/** Installs a package manager into `folder`, from where npm is told to; the file that Node runs. */
export function installManager({ spec }: PackageManager, folder: string): string {
  const flags = ['--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts', '--silent'];
  runCommand(['npm', 'install', '--prefix', folder, ...flags, spec]);
  const name = spec.slice(0, spec.lastIndexOf('@'));
  const home = path.join(folder, 'node_modules', name);
  const { bin } = JSON.parse(readFileSync(path.join(home, 'package.json'), 'utf8')) as {
    bin: Record<string, string>;
  };
  return path.join(home, Object.values(bin)[0] ?? '');
}

/** Everything that tells a package manager of a registry and of folders of its own; no file does. */
export function managerEnvironment(
  { env }: PackageManager,
  registry: string,
  home: string,
): Record<string, string> {
  return {
    HOME: home,
    XDG_CACHE_HOME: path.join(home, 'cache'),
    XDG_DATA_HOME: path.join(home, 'data'),
    CI: 'true',
    npm_config_registry: registry,
    npm_config_cache: path.join(home, 'npm'),
    npm_config_store_dir: path.join(home, 'store'),
    npm_config_update_notifier: 'false',
    npm_config_manage_package_manager_versions: 'false',
    YARN_REGISTRY: registry,
    YARN_CACHE_FOLDER: path.join(home, 'yarn'),
    YARN_NPM_REGISTRY_SERVER: registry.replace(/\/$/, ''),
    YARN_UNSAFE_HTTP_WHITELIST: '127.0.0.1',
    YARN_GLOBAL_FOLDER: path.join(home, 'berry'),
    YARN_ENABLE_TELEMETRY: '0',
    // Of a new project, whose lock file is to be written.
    YARN_ENABLE_IMMUTABLE_INSTALLS: 'false',
    ...env,
  };
}
