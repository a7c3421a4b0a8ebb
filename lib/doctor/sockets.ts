// The results of capabilities() for each kind of socket, as findings.
import type { Capabilities, Capability } from './capabilities.js';
import type { Finding } from './finding.js';

export interface SocketFacts {
  readonly capabilities: Capabilities;
  /** Release of the running kernel. */
  readonly kernel: string;
  /** MSG_ZEROCOPY_ENGINE in the environment. */
  readonly engine?: string;
  /** How to get the addon, if there is none. */
  readonly addonRemedy?: string | undefined;
}

export function readSocketFacts(
  capabilities: Capabilities,
  kernel: string,
  addonRemedy: string | undefined,
): SocketFacts {
  const engine = process.env['MSG_ZEROCOPY_ENGINE'];
  return {
    capabilities,
    kernel,
    ...(engine === undefined || engine === '' ? {} : { engine }),
    addonRemedy,
  };
}

export function socketFindings(facts: SocketFacts): Finding[] {
  const findings = [addonFinding(facts)];
  if (facts.engine !== undefined) findings.push(engineFinding(facts.engine));
  if (facts.capabilities.addon.support !== 'yes') return findings;
  return [
    ...findings,
    tcpFinding(facts),
    udpFinding(facts),
    privilegedFinding(facts.capabilities, 'raw'),
    privilegedFinding(facts.capabilities, 'packet'),
  ];
}

function addonFinding({ capabilities, addonRemedy: command }: SocketFacts): Finding {
  const same = { id: 'addon', title: 'Native addon' };
  const { support, reason = '' } = capabilities.addon;
  if (support === 'yes') return { ...same, verdict: 'ok', detail: 'Loaded.' };
  // The remedy has a line of its own.
  const why = reason.replace(`; remedy: ${command}`, '');
  const detail = `Not loaded (${why}): Node's own copying writes are used.`;
  if (command === undefined) return { ...same, verdict: 'blocked', detail };
  return { ...same, verdict: 'blocked', detail, remedy: { command } };
}

const ENGINES: readonly string[] = ['auto', 'msg_zerocopy', 'io_uring', 'copy'];

function engineFinding(engine: string): Finding {
  const same = { id: 'engine', title: 'MSG_ZEROCOPY_ENGINE in the environment' };
  const remedy = { command: 'unset MSG_ZEROCOPY_ENGINE' };
  if (!ENGINES.includes(engine)) {
    const detail = `'${engine}' is not one of ${ENGINES.join(', ')}: enabling zero copy throws.`;
    return { ...same, verdict: 'blocked', detail, remedy };
  }
  if (engine === 'copy') {
    const detail = "'copy': everything is copied unless a program asks for another engine by name.";
    return { ...same, verdict: 'blocked', detail, remedy };
  }
  if (engine === 'auto') return { ...same, verdict: 'ok', detail: "'auto', the default." };
  const detail = `'${engine}' instead of 'auto'. With a threshold, too, zero copy goes on even where the kernel copies.`;
  return { ...same, verdict: 'note', detail, remedy };
}

interface Both {
  readonly ipv4: Capability;
  readonly ipv6: Capability;
}

function works({ ipv4, ipv6 }: Both): boolean {
  return ipv4.support === 'yes' || ipv6.support === 'yes';
}

/** 'IPv4 and IPv6', or which is missing and why. */
function familiesText({ ipv4, ipv6 }: Both): string {
  const yes = [ipv4.support === 'yes' ? 'IPv4' : '', ipv6.support === 'yes' ? 'IPv6' : ''];
  const no = [
    ipv4.support === 'yes' ? '' : `not with IPv4: ${ipv4.reason}`,
    ipv6.support === 'yes' ? '' : `not with IPv6: ${ipv6.reason}`,
  ];
  return [yes.filter(Boolean).join(' and '), ...no].filter(Boolean).join('; ');
}

/** Whether anything here sends a stream or datagrams without copying. */
function worksAtAll({ tcp, udp }: Capabilities): boolean {
  return works(tcp.msg_zerocopy) || works(udp.msg_zerocopy) || tcp.io_uring.support === 'yes';
}

function tcpFinding({ capabilities, kernel }: SocketFacts): Finding {
  const { msg_zerocopy: both, io_uring: ring } = capabilities.tcp;
  const same = { id: 'tcp', title: 'TCP' };
  if (works(both)) {
    const isWhole = both.ipv4.support === 'yes' && both.ipv6.support === 'yes';
    const detail = `Linux ${kernel} accepts SO_ZEROCOPY: ${familiesText(both)}.`;
    return { ...same, verdict: isWhole ? 'ok' : 'limited', detail };
  }
  const refused = `Linux ${kernel} refuses SO_ZEROCOPY (${familiesText(both)}), which Linux supports since 4.14`;
  if (ring.support === 'yes') {
    return { ...same, verdict: 'limited', detail: `${refused}. io_uring sends without copying.` };
  }
  return {
    ...same,
    verdict: worksAtAll(capabilities) ? 'limited' : 'blocked',
    detail: `${refused}, and io_uring is not available: streams are copied.`,
  };
}

function udpFinding({ capabilities, kernel }: SocketFacts): Finding {
  const { msg_zerocopy: both, gso } = capabilities.udp;
  const same = { id: 'udp', title: 'UDP' };
  if (!works(both)) {
    const detail =
      `Linux ${kernel} refuses SO_ZEROCOPY (${familiesText(both)}), which Linux supports for UDP since ` +
      '5.0: datagrams are copied.';
    return { ...same, verdict: worksAtAll(capabilities) ? 'limited' : 'blocked', detail };
  }
  const taken = `Linux ${kernel} accepts SO_ZEROCOPY: ${familiesText(both)}`;
  const isWhole = both.ipv4.support === 'yes' && both.ipv6.support === 'yes';
  if (gso.support === 'yes') {
    const detail = `${taken}. It accepts UDP_SEGMENT, too, without which zero copy does not pay.`;
    return { ...same, verdict: isWhole ? 'ok' : 'limited', detail };
  }
  const detail = `${taken}. It refuses UDP_SEGMENT (${gso.reason}), without which zero copy does not pay.`;
  return { ...same, verdict: 'limited', detail };
}

const NET_RAW_RISK =
  'with CAP_NET_RAW every program that this Node runs may read and forge packets';

function privilegedFinding(capabilities: Capabilities, kind: 'raw' | 'packet'): Finding {
  const same = { id: kind, title: kind === 'raw' ? 'Raw sockets' : 'Packet sockets' };
  const { open, tx_ring: ring } = capabilities[kind];
  if (open.support !== 'yes') {
    const detail = `This process cannot open them (${open.reason}). TCP and UDP do not need that.`;
    return {
      ...same,
      verdict: 'note',
      detail,
      remedy: {
        command: `setcap cap_net_raw+ep ${process.execPath}`,
        weakensSecurity: NET_RAW_RISK,
      },
    };
  }
  if (kind === 'raw' && capabilities.raw.msg_zerocopy.support === 'yes') {
    return { ...same, verdict: 'ok', detail: 'This kernel accepts SO_ZEROCOPY for them.' };
  }
  if (ring.support !== 'yes') {
    const detail = `There is no transmit ring (${ring.reason}): everything they send is copied.`;
    return { ...same, verdict: 'limited', detail };
  }
  const what = kind === 'raw' ? 'packets' : 'frames';
  const detail =
    `The transmit ring works: with the option \`ring\`, ${what} are sent from the ring without a copy. ` +
    'All other sends are copied: mainline Linux has no MSG_ZEROCOPY for these sockets.';
  return { ...same, verdict: 'ok', detail };
}
