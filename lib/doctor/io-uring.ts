// Whether io_uring may be used, and what refuses it: an old kernel, a sysctl, a seccomp filter.
import { constants } from 'node:os';
import type { Native, NativeRingTrial } from '../native/binding.js';
import { errnoName } from '../errors.js';
import { describeRefusal, whyUntried } from '../native/submit-ring.js';
import type { ContainerKind } from './container.js';
import { readNumber } from '../node/proc.js';
import type { Finding, Remedy } from './finding.js';

const { EACCES, ENOSYS, EPERM } = constants.errno;

export interface RingFacts {
  /** Why there is none. */
  readonly trial: NativeRingTrial | string;
  /** kernel.io_uring_disabled (Linux 6.6): 0 for all, 1 for a group and CAP_SYS_ADMIN, 2 for nobody. */
  readonly disabled?: number;
  /** kernel.io_uring_group; -1: none. */
  readonly group?: number;
  readonly seccomp?: number;
  readonly container?: ContainerKind;
}

export function readRingFacts(
  native: Native,
  around: Pick<RingFacts, 'seccomp' | 'container'>,
): RingFacts {
  const disabled = readNumber('/proc/sys/kernel/io_uring_disabled');
  const group = readNumber('/proc/sys/kernel/io_uring_group');
  return {
    trial: whyUntried() ?? native.tryIoUring(),
    ...(disabled === undefined ? {} : { disabled }),
    ...(group === undefined ? {} : { group }),
    ...around,
  };
}

const SAME = { id: 'io_uring', title: 'io_uring' };
const REST = 'MSG_ZEROCOPY is used instead, which costs more for small and for single responses.';
const RISK =
  'bugs in io_uring were used to gain privileges more than once, so many kernels and containers refuse it';

export function ringFinding(facts: RingFacts): Finding {
  const { trial } = facts;
  if (typeof trial === 'string') return { ...SAME, verdict: 'note', detail: `It was ${trial}.` };
  const { error, step, buffersError } = trial;
  if (step === 'filter') {
    const detail = `${describeRefusal(error, step)}. ${REST}`;
    return { ...SAME, verdict: 'limited', detail, remedy: seccompRemedy(facts.container) };
  }
  if (error < 0) return refusal(facts, error, describeRefusal(error, step));
  if (buffersError < 0) {
    const detail =
      `A ring was set up and sent without copying. Buffer pools cannot be registered with it ` +
      `(${errnoName(buffersError)}, usually because of RLIMIT_MEMLOCK): their memory is pinned for each send.`;
    return { ...SAME, verdict: 'note', detail };
  }
  const vectored = trial.vectoredSlots
    ? 'buffer pools can be registered with it'
    : 'buffer pools can be registered with it, for sends of one buffer (of several from Linux 6.15 on)';
  return {
    ...SAME,
    verdict: 'ok',
    detail: `A ring was set up, and the kernel accepted a send with it; ${vectored}.`,
  };
}

function refusal(facts: RingFacts, error: number, reason: string): Finding {
  const { disabled, seccomp, container } = facts;
  const isRefused = error === -EPERM || error === -EACCES;
  if (isRefused && disabled !== undefined && disabled > 0) {
    const detail = `${errnoName(error)}: kernel.io_uring_disabled is ${disabled}. ${REST}`;
    return { ...SAME, verdict: 'limited', detail, remedy: sysctlRemedyOf(facts, disabled) };
  }
  if (seccomp === 2 && (isRefused || error === -ENOSYS)) {
    const detail = `${errnoName(error)}: a seccomp filter refuses it, as most containers' do. ${REST}`;
    return { ...SAME, verdict: 'limited', detail, remedy: seccompRemedy(container) };
  }
  return { ...SAME, verdict: 'limited', detail: `${reason}. ${REST}` };
}

// Allow it to one group if the sysctl supports that, which is narrower than to everybody.
function sysctlRemedyOf({ group, container }: RingFacts, disabled: number): Remedy {
  const where = container === undefined ? '' : '   # on the host';
  if (disabled === 1 && group !== undefined) {
    return {
      command: `sysctl -w kernel.io_uring_group=$(id -g)${where}`,
      weakensSecurity: `${RISK}; this allows it for one group`,
    };
  }
  return {
    command: `sysctl -w kernel.io_uring_disabled=0${where}`,
    weakensSecurity: `${RISK}; this allows it for every user of the machine`,
  };
}

// The path of examples/deploy/seccomp.json in the package.
const WRITE_PROFILE = 'npx msg-zerocopy doctor --write-seccomp';

function seccompRemedy(container: ContainerKind | undefined): Remedy {
  const weakensSecurity = `${RISK}; this allows it in the container`;
  if (container === 'kubernetes') {
    return {
      command: `kubectl patch deployment NAME --type=merge -p '{"spec":{"template":{"spec":{"securityContext":{"seccompProfile":{"type":"Localhost","localhostProfile":"profiles/msg-zerocopy.json"}}}}}}'   # first, on each node: ${WRITE_PROFILE} /var/lib/kubelet/seccomp/profiles/msg-zerocopy.json; see examples/deploy/kubernetes.yaml`,
      weakensSecurity,
    };
  }
  const program = container === 'podman' ? 'podman' : 'docker';
  return {
    command: `${WRITE_PROFILE} seccomp.json && ${program} run --security-opt seccomp=seccomp.json IMAGE   # on the host; see examples/deploy/compose.yaml`,
    weakensSecurity,
  };
}
