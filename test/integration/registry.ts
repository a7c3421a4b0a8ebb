// A registry of packages on loopback: serves tarballs and what npm's registry tells of them, so that a
// project is installed, locked and installed again as from there. What it does not have it does not ask for.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { runCommand } from '../../scripts/rig/commands';

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly scripts?: object;
}

interface Packed {
  readonly name: string;
  readonly version: string;
  readonly file: string;
  readonly bytes: Buffer;
  readonly manifest: Manifest;
}

export interface Registry {
  readonly url: string;
  close(): void;
}

function read(tarball: string): Packed {
  const argv = ['tar', '-xOzf', tarball, 'package/package.json'];
  const manifest = JSON.parse(runCommand(argv)) as Manifest;
  const { name, version } = manifest;
  return { name, version, file: path.basename(tarball), bytes: readFileSync(tarball), manifest };
}

const INSTALL_SCRIPTS = ['preinstall', 'install', 'postinstall'];

/**
 * What the registry tells of a package: its only version. Scripts only where they concern an
 * installation: for the tests of node-addon-api Yarn would install node-gyp.
 */
function packument({ name, version, file, bytes, manifest }: Packed, url: string): object {
  const scripts = Object.fromEntries(
    Object.entries(manifest.scripts ?? {}).filter(([script]) => INSTALL_SCRIPTS.includes(script)),
  );
  const dist = {
    tarball: `${url}${name}/-/${file}`,
    integrity: `sha512-${createHash('sha512').update(bytes).digest('base64')}`,
    shasum: createHash('sha1').update(bytes).digest('hex'),
  };
  const time = new Date(0).toISOString();
  return {
    name,
    'dist-tags': { latest: version },
    versions: { [version]: { ...manifest, scripts, _id: `${name}@${version}`, dist } },
    time: { created: time, modified: time, [version]: time },
  };
}

/** Serves these tarballs until it is closed. */
export async function startRegistry(tarballs: readonly string[]): Promise<Registry> {
  const packages = tarballs.map(read);
  let url = '';
  const server = http.createServer((request, response) => {
    const asked = decodeURIComponent(request.url ?? '').slice(1);
    const packed = packages.find(({ name, file }) => asked === name || asked.endsWith(`/${file}`));
    if (packed === undefined) {
      response.writeHead(404, { 'content-type': 'application/json' }).end('{}');
    } else if (asked === packed.name) {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(packument(packed, url)));
    } else {
      response.setHeader('content-type', 'application/octet-stream');
      response.end(packed.bytes);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { url, close };
}
