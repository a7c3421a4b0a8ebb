// Makes binaries to publish, into npm/<platform>/: this machine's own, and the one for arm64 where
// Debian's cross compiler is. Usage: node dist/scripts/prebuilt.js [PLATFORM ...]
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { familySync } from 'detect-libc';
import { type Platform, PLATFORMS } from '../lib/native/loader.js';
import { complaintsAbout } from './binary-needs.js';
import { BINARY, folderOf, ROOT, writePlatformPackage } from './platform-packages.js';

// Without symbols, which are most of the file. The C++ library stays outside: Node's own binary needs it
// as well, and a linked-in one brings the newest glibc of this machine along.
const LDFLAGS = '-s';

function own(): string {
  return `${process.platform}-${process.arch}-${familySync() === 'musl' ? 'musl' : 'gnu'}`;
}

/** The environment that compiles for a platform on this machine; undefined: it cannot. */
function environmentFor(platform: Platform): NodeJS.ProcessEnv | undefined {
  if (platform === own()) return { LDFLAGS };
  const isCross = platform === 'linux-arm64-gnu' && own() === 'linux-x64-gnu';
  const cross = { CC: 'aarch64-linux-gnu-gcc', CXX: 'aarch64-linux-gnu-g++' };
  if (!isCross || spawnSync(cross.CXX, ['--version']).status !== 0) return undefined;
  return { LDFLAGS, ...cross, npm_config_arch: 'arm64' };
}

function build(platform: Platform, env: NodeJS.ProcessEnv): boolean {
  const folder = folderOf(platform);
  rmSync(folder, { recursive: true, force: true });
  writePlatformPackage(platform, folder);
  const binary = path.join(folder, BINARY);
  const builder = path.join(ROOT, 'scripts/build-native.mjs');
  const { status } = spawnSync(process.execPath, [builder, '--strict', '--output', binary], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const complaints = status === 0 ? complaintsAbout(binary, platform) : ['it was not built'];
  for (const complaint of complaints) console.error(`${platform}: ${complaint}`);
  if (complaints.length === 0) console.log(`${platform}: ${path.relative(ROOT, binary)}`);
  // What must not be published does not lie where pack.ts looks.
  else rmSync(folder, { recursive: true, force: true });
  return complaints.length === 0;
}

function main(names: readonly string[]): number {
  const unknown = names.filter((name) => !PLATFORMS.some((platform) => platform === name));
  if (unknown.length > 0) {
    console.error(`prebuilt: ${unknown.join(', ')}: none of ${PLATFORMS.join(', ')}`);
    return 2;
  }
  let hasFailed = false;
  for (const platform of PLATFORMS) {
    if (names.length > 0 && !names.includes(platform)) continue;
    const env = environmentFor(platform);
    if (env === undefined) {
      console.log(`${platform}: not on this machine`);
      hasFailed ||= names.includes(platform);
    } else {
      hasFailed = !build(platform, env) || hasFailed;
    }
  }
  return hasFailed ? 1 : 0;
}

process.exitCode = main(process.argv.slice(2));
