// What capabilities() says, and that it is so: of this kernel and process, without privileges, without
// the addon, and of kernels that refuse.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import path from 'node:path';
import { capabilities, type Capabilities, type Capability } from '../../lib/index';
import { VERSION } from '../../lib/version';
import { isolated } from '../helpers/isolated';

const { EACCES, EPERM } = constants.errno;
const ENOPROTOOPT = 92;
const EOPNOTSUPP = 95;

/** Every leaf by its name, such as `udp.msg_zerocopy.ipv4`. */
function leaves(node: object, prefix = ''): Record<string, Capability> {
  if ('support' in node) return { [prefix]: node as Capability };
  const named = Object.entries(node).map(([name, child]: [string, unknown]) =>
    typeof child === 'object' && child !== null
      ? leaves(child, prefix === '' ? name : `${prefix}.${name}`)
      : {},
  );
  return Object.assign({}, ...named) as Record<string, Capability>;
}

const NAMES = [
  'addon',
  'packet.copy',
  'packet.msg_zerocopy',
  'packet.open',
  'packet.tx_ring',
  'raw.copy',
  'raw.msg_zerocopy',
  'raw.open',
  'raw.tx_ring',
  'tcp.copy',
  'tcp.io_uring',
  'tcp.msg_zerocopy.ipv4',
  'tcp.msg_zerocopy.ipv6',
  'udp.copy',
  'udp.gro',
  'udp.gso',
  'udp.msg_zerocopy.ipv4',
  'udp.msg_zerocopy.ipv6',
];

/** The capabilities of a kernel that answers each option as `errnos` says; 0: it takes it. */
async function ofKernel(errnos: Readonly<Record<string, number>>): Promise<Capabilities> {
  const folder = mkdtempSync(path.join(tmpdir(), 'capabilities-'));
  const file = path.join(folder, 'addon.js');
  // The native side in words: kernel.SO_ZEROCOPY is 'SO_ZEROCOPY', and so on.
  const source = `
    const errnos = ${JSON.stringify(errnos)};
    exports.version = ${JSON.stringify(VERSION)};
    exports.kernel = new Proxy({}, { get: (_, name) => name });
    exports.describe = () => ({ kernelRelease: 'for this test' });
    exports.tryIoUring = () => ({ error: -(errnos.IO_URING ?? 0), step: 'setup' });
    exports.probeOption = (domain, type, protocol, level, name) => {
      const errno = errnos[type + ' ' + name] ?? errnos[type] ?? errnos[name] ?? 0;
      const isRefusal = [${ENOPROTOOPT}, ${EOPNOTSUPP}].includes(errno);
      return { errno, support: errno === 0 ? 1 : isRefusal ? 0 : 2 };
    };`;
  writeFileSync(file, source);
  try {
    const env = { MSG_ZEROCOPY_ADDON: file };
    const { answer, stderr } = await isolated(({ zc }) => zc.capabilities(), { env });
    assert.ok(answer !== undefined, stderr);
    return answer;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('capabilities()', () => {
  it('lists every kind of socket, and gives a reason for whatever is unsupported', () => {
    const found = leaves(capabilities());
    assert.deepEqual(Object.keys(found).sort(), NAMES);
    for (const [name, { support, reason }] of Object.entries(found)) {
      assert.ok(['yes', 'no', 'unknown'].includes(support), name);
      assert.equal(reason === undefined, support === 'yes', `${name}: ${reason}`);
    }
    for (const name of ['addon', 'tcp.copy', 'udp.copy']) {
      assert.equal(found[name]?.support, 'yes', name);
    }
  });

  it('names CAP_NET_RAW when it is missing, without affecting UDP', async () => {
    const { answer, stderr } = await isolated(({ zc }) => {
      const before = zc.capabilities(); // loads the addon while its file can be read
      if (process.geteuid?.() === 0) {
        process.setgroups?.([]);
        process.setgid?.(65_534);
        process.setuid?.(65_534);
      }
      return { before, after: zc.capabilities() };
    });
    assert.ok(answer !== undefined, stderr);
    const { before, after } = answer;
    for (const [name, { support, reason }] of Object.entries({
      ...leaves(after.raw, 'raw'),
      ...leaves(after.packet, 'packet'),
    })) {
      assert.equal(support, 'no', name);
      assert.match(reason ?? '', /^EPERM: .*CAP_NET_RAW/);
    }
    assert.deepEqual([after.tcp, after.udp], [before.tcp, before.udp]);
  });

  it("reports only Node's own copying without the addon", async () => {
    const env = { MSG_ZEROCOPY_ADDON: 'off' };
    const { answer, stderr } = await isolated(({ zc }) => zc.capabilities(), { env });
    assert.ok(answer !== undefined, stderr);
    const found = leaves(answer);
    assert.deepEqual(Object.keys(found).sort(), NAMES);
    for (const [name, capability] of Object.entries(found)) {
      const expected =
        name === 'tcp.copy' || name === 'udp.copy'
          ? { support: 'yes' }
          : { support: 'no', reason: 'addon-unavailable: MSG_ZEROCOPY_ADDON=off' };
      assert.deepEqual(capability, expected, name);
    }
    assert.equal('kernel' in answer, false);
  });

  it('distinguishes what a kernel lacks from what cannot be determined', async () => {
    const { tcp, udp, raw, packet } = await ofKernel({
      SO_ZEROCOPY: EOPNOTSUPP,
      UDP_SEGMENT: ENOPROTOOPT,
      UDP_GRO: ENOPROTOOPT,
      PACKET_VERSION: EACCES,
    });
    for (const one of [tcp.msg_zerocopy.ipv4, udp.msg_zerocopy.ipv6, raw.msg_zerocopy]) {
      assert.equal(one.support, 'no');
      // EOPNOTSUPP, which libuv calls by its other name.
      assert.match(
        one.reason ?? '',
        /^kernel-unsupported: SO_ZEROCOPY failed with E(OP)?NOTSUPP?$/,
      );
    }
    assert.deepEqual(udp.gso, {
      support: 'no',
      reason: 'kernel-unsupported: UDP_SEGMENT failed with ENOPROTOOPT',
    });
    // Linux 5.0 to 5.12 has it and says the same.
    assert.equal(udp.gro.support, 'unknown');
    assert.deepEqual([raw.tx_ring.support, packet.tx_ring.support], ['unknown', 'unknown']);
    assert.deepEqual([raw.open, packet.copy], [{ support: 'yes' }, { support: 'yes' }]);
  });

  it('asks for CAP_NET_RAW only when that is what is missing', async () => {
    const { tcp, udp, raw, packet } = await ofKernel({
      SOCK_RAW: EPERM,
      'SOCK_STREAM SO_ZEROCOPY': EPERM,
      'SOCK_DGRAM UDP_SEGMENT': EPERM,
    });
    for (const one of [tcp.msg_zerocopy.ipv4, udp.gso]) {
      assert.equal(one.support, 'unknown');
      assert.doesNotMatch(one.reason ?? '', /CAP_NET_RAW/);
      assert.match(one.reason ?? '', /EPERM/);
    }
    for (const one of [raw.open, raw.copy, raw.tx_ring, packet.open, packet.tx_ring]) {
      assert.equal(one.support, 'no');
      assert.match(one.reason ?? '', /CAP_NET_RAW/);
    }
  });
});
