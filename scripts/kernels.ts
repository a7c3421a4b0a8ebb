// `npm run test:kernels -- 5.10 6.1 6.12`: boots Debian's kernels and lets this checkout send over the drivers of
// emulated network cards to a receiver that compares every byte. As root; qemu-system-x86, busybox-static, cpio, kmod.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { CACHE, fetchKernel, refreshLists } from './kernels/images';
import { writeInitramfs } from './kernels/initramfs';
import { boot } from './kernels/machine';
import { parseResult, type Result } from './kernels/result';
import { canStart } from './rig/commands';

const MINUTE_MS = 60_000;
const DEADLINE_MS = 40 * MINUTE_MS;
const DEFAULT = ['5.10', '6.1', '6.12'];
const PROGRAMS = ['qemu-system-x86_64', 'busybox', 'cpio', 'depmod', 'xz', 'apt-get', 'dpkg'];
const MODULES = ['virtio_net', 'e1000e', 'vmxnet3', 'sch_netem'];

/** What the guest runs first: it loads modules and starts the program. */
function guestScript(root: string): string {
  const guest = path.join(__dirname, 'kernels/guest.js');
  return [
    'export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root',
    ...MODULES.map((name) => `modprobe -d ${root} ${name} 2>/dev/null`),
    `exec ${process.execPath} ${guest}`,
  ].join('\n');
}

function shown({ device, way, what, outcome, detail }: Result): string {
  return `  ${outcome.padEnd(5)}  ${what.padEnd(10)}  ${device.padEnd(14)}  ${way.padEnd(5)}  ${detail}`;
}

async function run(version: string): Promise<readonly Result[]> {
  const image = fetchKernel(version);
  const initramfs = path.join(CACHE, `${version}.cpio`);
  writeInitramfs(image, initramfs);
  writeFileSync(path.join(CACHE, 'guest.sh'), guestScript(image.root));
  console.log(`Linux ${image.release}`);
  const results: Result[] = [];
  let ended = false;
  await boot(image, initramfs, DEADLINE_MS, (line) => {
    const result = parseResult(line);
    ended ||= line.startsWith('guest: ended with 0');
    if (result === undefined) {
      if (process.env['VERBOSE'] !== undefined) console.error(line);
      return;
    }
    results.push(result);
    console.log(shown(result));
  });
  if (ended) return results;
  const detail = 'the guest did not come to its end (VERBOSE=1 shows its console)';
  const failed: Result = { device: 'none', way: 'plain', what: 'guest', outcome: 'WRONG', detail };
  console.log(shown(failed));
  return [...results, failed];
}

async function main(versions: readonly string[]): Promise<void> {
  const missing = PROGRAMS.filter((name) => !canStart([name, '--version']));
  if (process.geteuid?.() !== 0 || missing.length > 0) {
    const lacks = missing.length > 0 ? `these are missing: ${missing.join(', ')}` : 'it needs root';
    throw new Error(
      `${lacks} (remedy: apt-get install qemu-system-x86 busybox-static cpio kmod xz-utils)`,
    );
  }
  mkdirSync(CACHE, { recursive: true });
  refreshLists();
  let wrong = 0;
  for (const version of versions) {
    const results = await run(version);
    wrong += results.filter(({ outcome }) => outcome === 'WRONG').length;
  }
  console.log(wrong === 0 ? 'Every byte was right.' : `${wrong} went wrong.`);
  if (wrong > 0) process.exitCode = 1;
}

const given = process.argv.slice(2);
main(given.length > 0 ? given : DEFAULT).catch((error: unknown) => {
  console.error(`kernels: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});
