// What diagnose() does. The other files of this folder read facts and turn them into findings.
import os from 'node:os';
import { loadNative, type Native } from '../native/binding.js';
import { type Capabilities, capabilities } from './capabilities.js';
import {
  containerFinding,
  containerKind,
  type ContainerKind,
  readContainerFacts,
} from './container.js';
import type { Diagnosis, Finding } from './finding.js';
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

/** As diagnose(). */
export async function examine(target?: string): Promise<Diagnosis> {
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
