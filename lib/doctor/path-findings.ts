// What the path to a target means for zero copy. Pure: facts in, findings out.
import type { ContainerKind } from './container.js';
import type { Finding, Remedy, Verdict } from './finding.js';
import { type NoPath, VIRTIO, type Path, type PathDevice } from './path.js';

export function pathFindings(path: Path | NoPath, container: ContainerKind | undefined): Finding[] {
  if ('error' in path) return [noPathFinding(path)];
  const [device] = path.devices;
  const findings = [routeFinding(path)];
  if (path.cast !== undefined) findings.push(DESTINATIONS[path.cast]);
  findings.push(deviceFinding(path, container));
  // A packet to this machine never reaches hardware.
  if (path.isLocal || device.isLoopback) return findings;
  const late = path.devices.find(({ freesLate }) => freesLate);
  if (late !== undefined) findings.push(lateFinding(late));
  if (path.features === undefined) {
    const detail = `${device.name} does not report its features.`;
    return [
      ...findings,
      { id: 'features', title: 'Features of the device', verdict: 'note', detail },
    ];
  }
  return [...findings, ...featureFindings(path, device)];
}

// If the sender's own machine receives the packet as well, it gets a clone over loopback
// (net/ipv4/ip_output.c:ip_mc_output, net/ipv6/ip6_output.c:ip6_finish_output2): measured on ifb, COPIED in
// just these cases.
const DESTINATION = { id: 'destination', title: 'Destination' };
const DESTINATIONS: Readonly<Record<NonNullable<Path['cast']>, Finding>> = {
  broadcast: {
    ...DESTINATION,
    verdict: 'blocked',
    detail:
      'A broadcast address: this machine is one of the receivers, so the kernel copies every datagram. ' +
      'TCP cannot connect to it.',
  },
  multicast: {
    ...DESTINATION,
    verdict: 'limited',
    detail:
      'A multicast address: the kernel copies datagrams to it while this machine is a member of the group, ' +
      'unless the sender calls setMulticastLoopback(false). TCP cannot connect to it.',
  },
};

/** Prefixes, as text, of addresses that no gateway leads to. */
const LINK = /^(22[4-9]|23\d|255\.255\.255\.255$|ff)/i;
/** The same of this machine. */
const LOOPBACK = /^(127\.|::1$|::ffff:127\.)/;

function noPathFinding({ address, error, unreachable }: NoPath): Finding {
  const same = { id: 'route', title: 'Route' };
  if (!unreachable) {
    const detail = `Asking the kernel for the route to ${address} failed: ${error}.`;
    return { ...same, verdict: 'note', detail };
  }
  return {
    ...same,
    verdict: 'blocked',
    detail: `There is no route to ${address}: ${error}.`,
    remedy: { command: routeRemedy(address) },
  };
}

function routeRemedy(address: string): string {
  if (LOOPBACK.test(address)) return 'ip link set lo up';
  const [host] = address.split('%');
  return `ip route add ${host} ${LINK.test(address) ? 'dev DEVICE' : 'via GATEWAY'}`;
}

function routeFinding({ address, isLocal, source, gateway, devices }: Path): Finding {
  const [device, ...lower] = devices;
  const through = gateway === undefined ? '' : ` via ${gateway}`;
  const from = source === undefined ? '' : ` from ${source}`;
  const on = lower.length === 0 ? '' : ` on ${lower.map(({ name }) => name).join(' on ')}`;
  const here = isLocal ? ' (this machine),' : '';
  const detail = `To ${address}${here}${through}${from} through ${device.name}${on}.`;
  return { id: 'route', title: 'Route', verdict: 'ok', detail };
}

interface Judgement {
  readonly verdict: Verdict;
  readonly what: string;
  readonly why: string;
}

// By the kind that rtnetlink reports. Kernel paths were read in 6.12; the verdicts on loopback, veth and
// bridge are measured (test/rig/capture.test.ts and its neighbours).
const KINDS: Readonly<Record<string, Omit<Judgement, 'what'>>> = {
  veth: {
    verdict: 'limited',
    why:
      'The kernel copies packets for a socket at the other end, unless an XDP program runs there. It does not ' +
      'copy those that a bridge there forwards to a network card, nor, from Linux 6.17 on, those that the ' +
      'host routes.',
  },
  tun: {
    verdict: 'blocked',
    why: 'The driver copies packets for the program behind it (drivers/net/tun.c).',
  },
  wireguard: { verdict: 'blocked', why: 'Packets are encrypted into memory of their own.' },
  bridge: {
    verdict: 'note',
    why: 'It passes packets on without a copy, but the port that they leave by may copy: a veth or a tap does.',
  },
  bond: { verdict: 'ok', why: 'It passes packets to its members.' },
  team: { verdict: 'ok', why: 'It passes packets to its members.' },
  vlan: { verdict: 'ok', why: 'It passes packets to the device below.' },
  macvlan: {
    verdict: 'ok',
    why: 'It passes packets to the device below. Packets for other macvlans of that device are copied.',
  },
  ipvlan: {
    verdict: 'ok',
    why: 'It passes packets to the device below. Packets for other ipvlans of that device are copied.',
  },
  dummy: { verdict: 'note', why: 'It discards packets.' },
  ifb: { verdict: 'note', why: 'It sends nothing by itself.' },
};

function judge({ isLocal }: Path, device: PathDevice): Judgement {
  if (isLocal || device.isLoopback) {
    const why = 'Linux always copies packets for a socket of the same machine.';
    return { verdict: 'blocked', what: 'loopback', why };
  }
  const known = Object.hasOwn(KINDS, device.kind) ? KINDS[device.kind] : undefined;
  if (known !== undefined) return { ...known, what: device.kind };
  if (device.kind !== '') {
    const why = 'A virtual device: the one that its packets finally leave by may copy.';
    return { verdict: 'note', what: device.kind, why };
  }
  if (device.driver === VIRTIO) {
    const why =
      'It passes the pages to the host, which may copy them: that cannot be seen from here.';
    return { verdict: 'ok', what: 'virtio', why };
  }
  // A tun or tap that was moved into a namespace may have no kind, but its driver shows it.
  if (device.driver === 'tun') return { ...(KINDS['tun'] as Judgement), what: 'tun' };
  const what = device.driver === '' ? 'network card' : `network card, driver ${device.driver}`;
  return { verdict: 'ok', what, why: 'Its driver sends without a copy.' };
}

function deviceFinding(path: Path, container: ContainerKind | undefined): Finding {
  const [device] = path.devices;
  // A vlan on a tun copies, too.
  const judged = path.devices.map((one) => ({ ...judge(path, one), name: one.name }));
  const [first] = judged;
  const worst =
    judged.find(({ verdict }) => verdict === 'blocked') ??
    judged.find(({ verdict }) => verdict === 'limited') ??
    first;
  const { verdict, what, why, name } = worst as (typeof judged)[number];
  const remedy = verdict === 'limited' ? vethRemedy(container) : undefined;
  return {
    id: 'device',
    title: 'Device',
    verdict,
    detail: `${name} (${what}, MTU ${device.mtu}). ${why}`,
    ...(remedy === undefined ? {} : { remedy }),
  };
}

// drivers/net/virtio_net.c:start_xmit. Measured: 48 s for what takes 0.4.
function lateFinding({ name }: PathDevice): Finding {
  return {
    id: 'late-release',
    title: 'Releases by the driver',
    verdict: 'limited',
    detail:
      `${name} frees a packet only when it sends the next ones (${VIRTIO} with napi_tx=0), so a program that ` +
      'waits for a callback before its next write waits long. Reboot after the remedy. If the driver is built ' +
      'into the kernel, add virtio_net.napi_tx=1 to the kernel command line instead.',
    remedy: { command: 'echo options virtio_net napi_tx=1 > /etc/modprobe.d/virtio_net.conf' },
  };
}

function vethRemedy(container: ContainerKind | undefined): Remedy | undefined {
  const weakensSecurity =
    "the container then shares the host's network: its addresses, its ports, its loopback";
  if (container === 'docker' || container === 'podman') {
    return { command: `${container} run --network host IMAGE`, weakensSecurity };
  }
  if (container === 'kubernetes') {
    return {
      command: `kubectl patch deployment NAME --type=merge -p '{"spec":{"template":{"spec":{"hostNetwork":true}}}}'`,
      weakensSecurity,
    };
  }
  return undefined;
}

/** Features by purpose; the names are those of `ethtool --show-features`. */
const SCATTER_GATHER = 'tx-scatter-gather';
const GENERIC_SEGMENTATION = 'tx-generic-segmentation';
const UDP_SEGMENTATION = 'tx-udp-segmentation';
const CHECKSUM = { 4: 'tx-checksum-ipv4', 6: 'tx-checksum-ipv6' } as const;
const ANY_CHECKSUM = 'tx-checksum-ip-generic';
const TCP_SEGMENTATION = { 4: 'tx-tcp-segmentation', 6: 'tx-tcp6-segmentation' } as const;

function featureFindings(path: Path, device: PathDevice): Finding[] {
  const { family, features = {} } = path;
  const isOn = (name: string): boolean => features[name]?.active === true;
  const isChangeable = (...names: string[]): boolean =>
    names.some((name) => features[name]?.changeable === true);
  const sums = [CHECKSUM[family], ANY_CHECKSUM];
  const switched = (words: string, changeable: boolean): Pick<Finding, 'remedy'> =>
    changeable ? { remedy: { command: `ethtool -K ${device.name} ${words}` } } : {};
  const fixed = (changeable: boolean): string =>
    changeable ? '' : ' The driver does not allow switching it on.';

  const canGather = isChangeable(SCATTER_GATHER);
  const gathers: Finding = isOn(SCATTER_GATHER)
    ? feature('scatter-gather', 'ok', `${device.name} sends from scattered memory.`)
    : {
        ...feature(
          'scatter-gather',
          'blocked',
          `Off on ${device.name}: the kernel copies each packet into one piece.${fixed(canGather)}`,
        ),
        ...switched('sg on', canGather),
      };

  const canSum = isChangeable(...sums);
  const summed: Finding = sums.some(isOn)
    ? feature('checksum', 'ok', `${device.name} computes checksums of what is sent.`)
    : {
        ...feature(
          'checksum',
          'blocked',
          `Off on ${device.name}: the kernel copies packets to compute their checksums itself.${fixed(canSum)}`,
        ),
        // The kernel switches scatter-gather off together with checksums.
        ...switched('tx on sg on', canSum),
      };
  // The kernel switches segmentation off together with either.
  const isFree = gathers.verdict === 'ok' && summed.verdict === 'ok';
  const { remedy, ...segmented } = segmentationFinding(path, device);
  return [gathers, summed, isFree && remedy !== undefined ? { ...segmented, remedy } : segmented];
}

const FEATURE_TITLES = {
  'scatter-gather': 'Scatter-gather',
  checksum: 'Checksums by the device',
  segmentation: 'Segmentation',
} as const;

function feature(id: keyof typeof FEATURE_TITLES, verdict: Verdict, detail: string): Finding {
  return { id, title: FEATURE_TITLES[id], verdict, detail };
}

function segmentationFinding({ family, features = {} }: Path, device: PathDevice): Finding {
  const tso = features[TCP_SEGMENTATION[family]];
  const uso = features[UDP_SEGMENTATION];
  const gso = features[GENERIC_SEGMENTATION];
  const words = [
    `TCP by the device (TSO) ${tso?.active === true ? 'on' : 'off'}`,
    `UDP by the device (USO) ${uso?.active === true ? 'on' : 'off'}`,
    `by the kernel (GSO) ${gso?.active === true ? 'on' : 'off'}`,
  ];
  const text = `${device.name}: ${words.join(', ')}.`;
  if (tso?.active === true) return feature('segmentation', 'ok', text);
  const isSoftware = gso?.active === true;
  const detail = isSoftware
    ? `${text} The kernel segments large sends, which costs CPU time but no copy.`
    : `${text} Each packet is sent by itself, which costs more than zero copy saves.`;
  const switchable = [
    ...(tso?.changeable === true ? ['tso on'] : []),
    ...(!isSoftware && gso?.changeable === true ? ['gso on'] : []),
  ];
  return {
    ...feature('segmentation', isSoftware ? 'note' : 'limited', detail),
    ...(switchable.length === 0
      ? {}
      : { remedy: { command: `ethtool -K ${device.name} ${switchable.join(' ')}` } }),
  };
}
