// diagnose(): whether zero copy works here and on the path to a host, what decides it, and what to do about
// it. The other files of this folder read facts and turn them into findings.
import os from 'node:os';
import { loadNative, type Native } from '../native/binding.js';
import { type Capabilities, capabilities } from './capabilities.js';
import {
  containerFinding,
  containerKind,
  type ContainerKind,
  readContainerFacts,
} from './container.js';
import type { Finding } from './finding.js';
import { readRingFacts, ringFinding } from './io-uring.js';
import { limitFindings, readLimitFacts, pageFinding, readPageFacts } from './limits.js';
import { readSocketFacts, socketFindings } from './sockets.js';
import { readTaps, tapFinding } from './taps.js';
import { parseTarget, type ResolvedTarget, resolveTarget, findPath } from './path.js';
import {
  connectionFinding,
  type Trial,
  type TrialEngine,
  trialFindings,
  tryConnection,
  trySend,
} from './trial.js';
import { pathFindings } from './path-findings.js';

export type { Finding, Remedy, Verdict } from './finding.js';

export interface Diagnosis {
  /** Whether zero copy can work here, and to the target if there is one: no finding is `blocked`. */
  readonly zeroCopy: boolean;
  readonly platform: string;
  /** Release of the running kernel. */
  readonly kernel: string;
  /** Version of Node. */
  readonly node: string;
  readonly target?: {
    readonly host: string;
    /** What it resolved to. */
    readonly address: string;
    readonly family: 4 | 6;
    readonly port?: number;
  };
  /** In the order: the package, limits, the machine, the path to the target, trials. */
  readonly findings: readonly Finding[];
}

/**
 * Finds out whether zero copy works for this process, by trying where that can be done: a few throwaway
 * sockets, an io_uring, and 32 KiB over a connection inside this process for each engine.
 *
 * @param target a host name or an IP address: its route and the device there are looked at, and nothing
 *   is sent. With a port ('host:80', '[::1]:80') one TCP connection is opened and closed, over which
 *   nothing is sent either. Default: none, and nothing is said of any route.
 * @settles after some 50 ms; up to 5 s for each trial that gets no answer.
 * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE (not a target); the error of getaddrinfo(3), such as
 *   ENOTFOUND, for a name that does not resolve. Whatever else goes wrong is a finding.
 * @kernel any, and any other system, where the findings say what is missing.
 */
export async function diagnose(target?: string): Promise<Diagnosis> {
  const resolved = target === undefined ? undefined : await resolveTarget(parseTarget(target));
  const loaded = loadNative();
  const { native } = loaded;
  const addonRemedy = native === undefined ? loaded.remedy : undefined;
  const can = capabilities();
  const kernel = os.release();
  const containerFacts = readContainerFacts();
  const container = containerKind(containerFacts);
  const { seccomp } = containerFacts;
  const around = {
    ...(seccomp === undefined ? {} : { seccomp }),
    ...(container === undefined ? {} : { container }),
  };
  const onLinux = process.platform === 'linux';
  const findings = [
    ...socketFindings(readSocketFacts(can, kernel, addonRemedy)),
    ...(native === undefined ? [] : [ringFinding(readRingFacts(native, around))]),
    ...(onLinux ? limitFindings(readLimitFacts(native, container)) : []),
    ...(onLinux ? [containerFinding(containerFacts), pageFinding(readPageFacts())] : []),
    ...(native === undefined ? [] : pathAndTaps(native, resolved, container)),
    ...trialFindings(await trials(can)),
    ...(resolved?.port === undefined
      ? []
      : [connectionFinding(await tryConnection(resolved, resolved.port))]),
  ];
  return {
    zeroCopy: findings.every(({ verdict }) => verdict !== 'blocked'),
    platform: process.platform,
    kernel,
    node: process.version,
    ...(resolved === undefined ? {} : { target: resolved }),
    findings,
  };
}

function pathAndTaps(
  native: Native,
  target: ResolvedTarget | undefined,
  container: ContainerKind | undefined,
): Finding[] {
  const taps = readTaps(native);
  if (target === undefined) return [tapFinding(taps, undefined)];
  const path = findPath(native, target.address);
  const devices = 'error' in path ? [] : path.devices.map(({ index }) => index);
  return [...pathFindings(path, container), tapFinding(taps, devices)];
}

// One after another, so that the second engine does not run into resources that the first still holds.
async function trials({ tcp }: Capabilities): Promise<Trial[]> {
  const engines: TrialEngine[] = [];
  if (tcp.msg_zerocopy.ipv4.support === 'yes') engines.push('msg_zerocopy');
  if (tcp.io_uring.support === 'yes') engines.push('io_uring');
  const tried: Trial[] = [];
  for (const engine of engines) tried.push(await trySend(engine));
  return tried;
}
