// `npm run test:kernels -- 5.10 6.1 6.12`: boots Debian's kernels and lets this checkout send over the
// drivers of emulated network cards to a receiver that compares every byte: of all, or of those that are
// named (`-- 6.1 igb`), without the tests then. As root; busybox-static, cpio, kmod.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { CACHE, refreshLists } from './kernels/debian';
import { type Emulator, findEmulator } from './kernels/emulator';
import { fetchKernel } from './kernels/images';
import { writeInitramfs } from './kernels/initramfs';
import { kernelTlsProgram } from './kernels/kernel-tls';
import { boot, type Card, RECEIVER, SENDERS } from './kernels/machine';
import { parseResult, type Result } from './kernels/result';
import { canStart } from './rig/commands';

const MINUTE_MS = 60_000;
const DEADLINE_MS = 40 * MINUTE_MS;
const DEFAULT = ['5.10', '6.1', '6.12'];
const PROGRAMS = ['busybox', 'cpio', 'depmod', 'xz', 'apt-get', 'dpkg'];
const CARDS = ['virtio_net', 'e1000e', 'igb', 'vmxnet3'];
/** AES-GCM as modules, because the guest has none that the kernel could load by itself. */
const TLS = ['ctr', 'ghash_generic', 'gcm', 'aesni_intel', 'tls'];
const MODULES = [...CARDS, 'veth', 'sch_netem', ...TLS];

/** What the guest runs first: it loads modules and starts the program. */
function guestScript(root: string, senders: readonly Card[]): string {
  const guest = path.join(__dirname, 'kernels/guest.js');
  return [
    'export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root',
    ...MODULES.map((name) => `modprobe -d ${root} ${name} 2>/dev/null`),
    `exec ${process.execPath} ${guest} ${senders.map(({ model }) => model).join(' ')}`,
  ].join('\n');
}

function shown({ device, way, what, outcome, detail }: Result): string {
  return `  ${outcome.padEnd(6)}  ${what.padEnd(10)}  ${device.padEnd(14)}  ${way.padEnd(5)}  ${detail}`;
}

async function run(
  emulator: Emulator,
  version: string,
  senders: readonly Card[],
): Promise<readonly Result[]> {
  const image = fetchKernel(version);
  const initramfs = path.join(CACHE, `${version}.cpio`);
  writeInitramfs(image, initramfs);
  writeFileSync(path.join(CACHE, 'guest.sh'), guestScript(image.root, senders));
  console.log(`Linux ${image.release}`);
  const results: Result[] = [];
  let ended = false;
  await boot({ emulator, image, initramfs, senders }, DEADLINE_MS, (line) => {
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
  const detail = 'the guest did not finish (VERBOSE=1 shows its console)';
  const failed: Result = { device: 'none', way: 'plain', what: 'guest', outcome: 'WRONG', detail };
  console.log(shown(failed));
  return [...results, failed];
}

async function main(versions: readonly string[], senders: readonly Card[]): Promise<void> {
  const missing = PROGRAMS.filter((name) => !canStart([name, '--version']));
  if (process.geteuid?.() !== 0 || missing.length > 0) {
    const lacks = missing.length > 0 ? `these are missing: ${missing.join(', ')}` : 'it needs root';
    throw new Error(`${lacks} (remedy: apt-get install busybox-static cpio kmod xz-utils)`);
  }
  mkdirSync(CACHE, { recursive: true });
  kernelTlsProgram();
  refreshLists();
  const emulator = findEmulator([RECEIVER, ...senders].map(({ model }) => model));
  let wrong = 0;
  for (const version of versions) {
    const results = await run(emulator, version, senders);
    wrong += results.filter(({ outcome }) => outcome === 'WRONG').length;
  }
  console.log(wrong === 0 ? 'Every byte was right.' : `${wrong} went wrong.`);
  if (wrong > 0) process.exitCode = 1;
}

const given = process.argv.slice(2);
const cards = SENDERS.filter(({ model }) => given.includes(model));
const versions = given.filter((word) => !cards.some(({ model }) => model === word));
main(versions.length > 0 ? versions : DEFAULT, cards.length > 0 ? cards : SENDERS).catch(
  (error: unknown) => {
    console.error(`kernels: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  },
);
