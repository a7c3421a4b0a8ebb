// Whether this process seems to run in a container, and in which kind: remedies then address whoever starts it. These
// are hints; nothing says it for certain.
import { exists, readText } from '../node/proc.js';
import type { Finding, Remedy } from './finding.js';

export interface ContainerFacts {
  /** /.dockerenv, which image builders leave on virtual machines as well. */
  readonly dockerenv: boolean;
  /** /run/.containerenv, of podman. */
  readonly containerenv: boolean;
  /** /proc/1/cgroup */
  readonly cgroup?: string;
  /** `container` in the environment, of systemd-nspawn, lxc and podman. */
  readonly variable?: string;
  readonly kubernetes: boolean;
  /** Mode of the seccomp filter in /proc/self/status: 0 none, 1 strict, 2 a filter. */
  readonly seccomp?: number;
}

export type ContainerKind = 'docker' | 'podman' | 'kubernetes' | 'other';

export function readContainerFacts(): ContainerFacts {
  const cgroup = readText('/proc/1/cgroup');
  const variable = process.env['container'];
  const seccomp = /^Seccomp:\s*(\d)$/m.exec(readText('/proc/self/status') ?? '')?.[1];
  return {
    dockerenv: exists('/.dockerenv'),
    containerenv: exists('/run/.containerenv'),
    ...(cgroup === undefined ? {} : { cgroup }),
    ...(variable === undefined || variable === '' ? {} : { variable }),
    kubernetes: process.env['KUBERNETES_SERVICE_HOST'] !== undefined,
    ...(seccomp === undefined ? {} : { seccomp: Number(seccomp) }),
  };
}

const CGROUP_NAMES = /\b(docker|kubepods|libpod|containerd|lxc|garden|machine\.slice)\b/;

function containerHints(facts: ContainerFacts): string[] {
  const hints: string[] = [];
  if (facts.dockerenv) hints.push('/.dockerenv');
  if (facts.containerenv) hints.push('/run/.containerenv');
  const name = CGROUP_NAMES.exec(facts.cgroup ?? '')?.[1];
  if (name !== undefined) hints.push(`'${name}' in /proc/1/cgroup`);
  if (facts.variable !== undefined) hints.push(`container=${facts.variable}`);
  if (facts.kubernetes) hints.push('KUBERNETES_SERVICE_HOST');
  return hints;
}

/** The likeliest kind; undefined: no container. */
export function containerKind(facts: ContainerFacts): ContainerKind | undefined {
  const cgroup = facts.cgroup ?? '';
  if (facts.kubernetes || cgroup.includes('kubepods')) return 'kubernetes';
  if (facts.containerenv || facts.variable === 'podman' || cgroup.includes('libpod')) {
    return 'podman';
  }
  if (facts.dockerenv || facts.variable === 'docker' || cgroup.includes('docker')) return 'docker';
  return containerHints(facts).length > 0 ? 'other' : undefined;
}

export function containerFinding(facts: ContainerFacts): Finding {
  const hints = containerHints(facts);
  const filter =
    facts.seccomp === 2
      ? ' A seccomp filter is on: it may refuse system calls that the kernel supports.'
      : '';
  const isIn = hints.length > 0;
  return {
    id: 'container',
    title: 'Container',
    verdict: isIn || facts.seccomp === 2 ? 'note' : 'ok',
    detail:
      (isIn
        ? `This looks like a container (${hints.join(', ')}): limits, sysctls and devices are the container's.`
        : 'No sign of a container.') + filter,
  };
}

/**
 * How to set a sysctl of the network namespace: here if possible, else where the container is started.
 * @param value without spaces
 */
export function sysctlRemedy(
  name: string,
  value: string,
  kind: ContainerKind | undefined,
  writable: boolean,
): Remedy {
  const program = kind === 'podman' || kind === 'docker' ? kind : undefined;
  if (!writable && program !== undefined) {
    return { command: `${program} run --sysctl ${name}=${value} IMAGE` };
  }
  return { command: `sysctl -w ${name}=${value}` };
}
