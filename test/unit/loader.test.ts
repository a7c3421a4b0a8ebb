// From where the addon is taken, and what is said where there is none.
import assert from 'node:assert/strict';
import {
  chooseAddon,
  type Host,
  platformPackage,
  PLATFORMS,
  refuseRuntime,
} from '../../lib/native/loader';
import { VERSION } from '../../lib/version';

interface Addon {
  readonly version: string;
  readonly from: string;
}

const STALE = '0.0.1';

function missing(name: string): Error {
  const message = `Cannot find module '${name}'\nRequire stack:\n- /app/index.js`;
  return Object.assign(new Error(message), { code: 'MODULE_NOT_FOUND' });
}

/** What lies where: an addon of a version, or nothing, or something that does not load. */
interface Places {
  readonly file?: string | Error | null;
  readonly local?: string | Error;
  readonly installed?: string | Error;
}

function choose(host: Partial<Host>, places: Places) {
  const opened: string[] = [];
  const open = (from: string, what: string | Error | null | undefined, nothing: Error): Addon => {
    opened.push(from);
    if (what === undefined) throw nothing;
    if (what instanceof Error) throw what;
    if (what === null) return what as unknown as Addon;
    return { version: what, from };
  };
  const nowhere = new Error('none');
  const choice = chooseAddon<Addon>(
    {
      platform: 'linux',
      arch: 'x64',
      libc: () => 'glibc',
      isInPackage: () => true,
      hasPermissions: false,
      override: undefined,
      isSetUid: false,
      ...host,
    },
    {
      file: (name) => open(name, places.file, missing(name)),
      localBuild: () => open('local', places.local, nowhere),
      installed: (platform) => {
        const name = platformPackage(platform);
        return open(name, places.installed, missing(name));
      },
    },
  );
  if (choice.native !== undefined) return { opened, from: choice.native.from };
  return { opened, why: choice.why, remedy: choice.remedy };
}

const GNU = '@msg-zerocopy/linux-x64-gnu';
const MUSL = '@msg-zerocopy/linux-x64-musl';
const FORBIDDEN = Object.assign(new Error('addons are disabled'), { code: 'ERR_DLOPEN_DISABLED' });
const REMEDY = 'remedy: npx msg-zerocopy build';
const INSTALL = `remedy: npm install ${GNU}@${VERSION}, or compile it: npx msg-zerocopy build`;
const ALL = { file: VERSION, local: VERSION, installed: VERSION };

describe('the addon is taken', () => {
  const rows: readonly [title: string, host: Partial<Host>, places: Places, opened: string[]][] = [
    ['from the file that the environment names', { override: '/x.node' }, ALL, ['/x.node']],
    ['from the local build', {}, ALL, ['local']],
    ['from the local build: an empty variable names nothing', { override: '' }, ALL, ['local']],
    ['from the package of the platform', {}, { installed: VERSION }, ['local', GNU]],
    [
      'from the package, past a local build of another version',
      {},
      { local: STALE, installed: VERSION },
      ['local', GNU],
    ],
    [
      'from the package, past a local build that does not load',
      {},
      { local: new Error('invalid ELF header'), installed: VERSION },
      ['local', GNU],
    ],
    [
      'by the architecture',
      { arch: 'arm64' },
      { installed: VERSION },
      ['local', '@msg-zerocopy/linux-arm64-gnu'],
    ],
    [
      'from the package that npm chose, where the C library is unknown',
      {
        libc: () => {
          throw new Error("Cannot find module 'detect-libc'");
        },
      },
      { installed: VERSION },
      ['local', GNU],
    ],
    [
      'from the package, by code that a bundler moved: what lies two folders up is not its own',
      { isInPackage: () => false },
      ALL,
      [GNU],
    ],
    [
      'by the C library',
      { libc: () => 'musl' },
      { installed: VERSION },
      ['local', '@msg-zerocopy/linux-x64-musl'],
    ],
    [
      'not from the environment in a set-user-ID process',
      { override: '/x.node', isSetUid: true },
      ALL,
      ['local'],
    ],
  ];
  for (const [title, host, places, opened] of rows) {
    it(title, () => {
      const choice = choose(host, places);
      assert.equal(choice.why, undefined);
      assert.deepEqual(choice.opened, opened);
      assert.equal(choice.from, opened.at(-1));
    });
  }
});

describe('without an addon', () => {
  const rows: readonly [
    title: string,
    host: Partial<Host>,
    places: Places,
    opened: string[],
    why: string,
  ][] = [
    ['that it is switched off', { override: 'off' }, ALL, [], 'MSG_ZEROCOPY_ADDON=off'],
    [
      'that it is switched off, also in a set-user-ID process',
      { override: 'off', isSetUid: true },
      ALL,
      [],
      'MSG_ZEROCOPY_ADDON=off',
    ],
    ['which system it is', { platform: 'darwin' }, ALL, [], 'no MSG_ZEROCOPY on darwin'],
    [
      'what was tried, and the remedy',
      {},
      {},
      ['local', GNU],
      `local build: none; ${GNU}: not installed; ${INSTALL}`,
    ],
    [
      'that the named file is not there, and nothing else is tried',
      { override: '/x.node' },
      { local: VERSION, installed: VERSION },
      ['/x.node'],
      `MSG_ZEROCOPY_ADDON=/x.node: Cannot find module '/x.node'; ${REMEDY} --output /x.node`,
    ],
    [
      'that the named file is of another version',
      { override: '/x.node' },
      { ...ALL, file: STALE },
      ['/x.node'],
      `MSG_ZEROCOPY_ADDON=/x.node: refused, its version is ${STALE}, not ${VERSION}; ` +
        `${REMEDY} --output /x.node`,
    ],
    [
      'that both are of another version',
      {},
      { local: STALE, installed: '9.0.0' },
      ['local', GNU],
      `local build: refused, its version is ${STALE}, not ${VERSION}; ` +
        `${GNU}: refused, its version is 9.0.0, not ${VERSION}; ${INSTALL}`,
    ],
    [
      'why the binary does not load',
      {},
      { installed: new Error("libm.so.6: version `GLIBC_2.99' not found\n(required by …)") },
      ['local', GNU],
      `local build: none; ${GNU}: libm.so.6: version \`GLIBC_2.99' not found; ${REMEDY}`,
    ],
    [
      'that nothing is published for this machine',
      { arch: 'riscv64' },
      {},
      ['local'],
      `local build: none; no binary is published for linux-riscv64-gnu; ${REMEDY}`,
    ],
    [
      'that the packages for both C libraries were tried, where it is unknown which one it is',
      { libc: () => null },
      {},
      ['local', GNU, MUSL],
      `local build: none; ${GNU}: not installed; ${MUSL}: not installed; ${REMEDY}`,
    ],
    [
      'that the code was bundled, and which setting keeps it in its package',
      { isInPackage: () => false },
      { local: VERSION },
      [GNU],
      `this code was moved out of its package, as bundlers do; ${GNU}: not installed; remedy: name ` +
        "msg-zerocopy in the bundler's `external` setting (esbuild --external:msg-zerocopy) and install it " +
        "beside the bundle, or set MSG_ZEROCOPY_ADDON to the addon's file",
    ],
    [
      'that a flag of Node forbids addons',
      {},
      { local: FORBIDDEN },
      ['local', GNU],
      `local build: addons are disabled; ${GNU}: not installed; remedy: start Node without --no-addons`,
    ],
    [
      'that permissions forbid addons',
      { hasPermissions: true, override: '/x.node' },
      { file: FORBIDDEN },
      ['/x.node'],
      'MSG_ZEROCOPY_ADDON=/x.node: addons are disabled; remedy: start Node with --allow-addons',
    ],
    [
      'what is no addon at all',
      { override: '/x.node' },
      { file: null },
      ['/x.node'],
      "MSG_ZEROCOPY_ADDON=/x.node: Cannot destructure property 'version' of 'native' as it is null.; " +
        `${REMEDY} --output /x.node`,
    ],
    [
      'that the environment was ignored',
      { override: '/x.node', isSetUid: true },
      { file: VERSION },
      ['local', GNU],
      'MSG_ZEROCOPY_ADDON is ignored in a set-user-ID process; ' +
        `local build: none; ${GNU}: not installed; ${INSTALL}`,
    ],
  ];
  for (const [title, host, places, opened, why] of rows) {
    it(title, () => {
      const choice = choose(host, places);
      assert.equal(choice.why, why);
      assert.deepEqual(choice.opened, opened);
    });
  }
});

describe('a runtime other than Node', () => {
  it('gets no addon, and is named', () => {
    for (const name of ['Bun', 'Deno']) {
      assert.deepEqual(refuseRuntime({ node: '24.0.0', [name.toLowerCase()]: '1.0.0' }), {
        reason: 'runtime-unsupported',
        why: `${name} lacks parts of libuv that the addon needs: run the program with Node`,
      });
    }
  });

  it('is not assumed where it is Node', () => {
    assert.equal(refuseRuntime(process.versions), undefined);
  });
});

describe('the packages of the platforms', () => {
  it('are four, in the scope of the project', () => {
    assert.deepEqual(PLATFORMS.map(platformPackage), [
      '@msg-zerocopy/linux-x64-gnu',
      '@msg-zerocopy/linux-arm64-gnu',
      '@msg-zerocopy/linux-x64-musl',
      '@msg-zerocopy/linux-arm64-musl',
    ]);
  });
});
