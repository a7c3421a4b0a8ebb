// The first file system of a guest: busybox, the modules that reach the host's root, and a script that lays a tmpfs
// over that and runs one program in it.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { runCommand } from '../rig/commands';
import type { KernelImage } from './images';

/** By the names that modprobe knows them. */
const NEEDED = ['virtio_pci', '9pnet_virtio', '9p', 'overlay'];

/** Files of modules and of what they need, in the order of loading. */
function inOrder(image: KernelImage): string[] {
  const lines = readFileSync(path.join(image.modules, 'modules.dep'), 'utf8').split('\n');
  const needs = new Map(
    lines.map((line) => {
      const [file = '', rest = ''] = line.split(':');
      return [file, rest.split(' ').filter((word) => word !== '')];
    }),
  );
  const nameOf = (file: string): string =>
    path.basename(file).split('.')[0]?.replaceAll('-', '_') ?? '';
  const found: string[] = [];
  const add = (file: string): void => {
    for (const need of needs.get(file) ?? []) add(need);
    if (!found.includes(file)) found.push(file);
  };
  for (const name of NEEDED) {
    // What is built in has no file.
    const file = [...needs.keys()].find((key) => nameOf(key) === name);
    if (file !== undefined) add(file);
  }
  return found;
}

const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
for module in /modules/*; do insmod "$module" || echo "guest: no $module"; done
mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=262144,cache=loose root /lower || echo 'guest: no root'
mount -t tmpfs none /upper
mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work none /system
for folder in proc sys dev; do mount -o bind /$folder /system/$folder; done
mount -t tmpfs none /system/run
mkdir -p /system/dev/shm
hostname guest
ip link set lo up
chroot /system /bin/sh /tmp/msg-zerocopy-kernels/guest.sh
echo "guest: ended with $?"
poweroff -f
`;

/** Writes an initramfs. @param file where */
export function writeInitramfs(image: KernelImage, file: string): void {
  const folder = `${file}.d`;
  rmSync(folder, { recursive: true, force: true });
  for (const name of ['bin', 'proc', 'sys', 'dev', 'lower', 'upper', 'system', 'modules']) {
    mkdirSync(path.join(folder, name), { recursive: true });
  }
  cpSync('/bin/busybox', path.join(folder, 'bin/busybox'));
  for (const [index, module] of inOrder(image).entries()) {
    const name = `${String(index).padStart(3, '0')}-${path.basename(module)}`;
    const copy = path.join(folder, 'modules', name);
    cpSync(path.join(image.modules, module), copy);
    if (copy.endsWith('.xz')) runCommand(['xz', '-d', copy]);
  }
  writeFileSync(path.join(folder, 'init'), INIT, { mode: 0o755 });
  runCommand([
    'sh',
    '-euc',
    'cd "$1" && find . | cpio -o -H newc --quiet > "$2"',
    'sh',
    folder,
    file,
  ]);
  rmSync(folder, { recursive: true });
}
