// A seccomp profile of container runtimes as the filter that they make of it, for this machine.
import { readFileSync } from 'node:fs';

interface Argument {
  readonly index: number;
  readonly value: number;
  readonly valueTwo?: number;
  readonly op: 'SCMP_CMP_EQ' | 'SCMP_CMP_MASKED_EQ';
}

export interface Rule {
  readonly names: readonly string[];
  readonly action: 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO';
  readonly errnoRet?: number;
  readonly args?: readonly Argument[];
  /** It is meant for containers with a capability. */
  readonly includes?: { readonly caps: readonly string[] };
}

export interface Profile {
  readonly defaultAction: 'SCMP_ACT_ERRNO';
  readonly defaultErrnoRet: number;
  readonly architectures: readonly string[];
  readonly syscalls: readonly Rule[];
}

const HEADERS = {
  x64: ['/usr/include/x86_64-linux-gnu/asm/unistd_64.h', '/usr/include/asm/unistd_64.h'],
  arm64: ['/usr/include/asm-generic/unistd.h'],
} as const;
const AUDIT_ARCH = { x64: 0xc000003e, arm64: 0xc00000b7 } as const;

// Calls that are newer than the headers of a build machine may be, the same on every architecture.
const NEWER: Readonly<Record<string, number>> = {
  cachestat: 451,
  fchmodat2: 452,
  map_shadow_stack: 453,
  futex_wake: 454,
  futex_wait: 455,
  futex_requeue: 456,
  mseal: 462,
  setxattrat: 463,
  getxattrat: 464,
  listxattrat: 465,
  removexattrat: 466,
};

function architecture(): keyof typeof HEADERS {
  if (process.arch === 'x64' || process.arch === 'arm64') return process.arch;
  throw new Error(`the profile is not for ${process.arch}`);
}

/** Every system call of this architecture with its number, as the kernel's headers have them. */
export function systemCalls(): ReadonlyMap<string, number> {
  for (const header of HEADERS[architecture()]) {
    let text: string;
    try {
      text = readFileSync(header, 'utf8');
    } catch {
      continue;
    }
    const found = [...text.matchAll(/^#define __NR(?:3264)?_(\w+)\s+(\d+)$/gm)];
    const calls = found.map(([, name = '', number]) => [name, Number(number)] as const);
    return new Map([...Object.entries(NEWER), ...calls]);
  }
  throw new Error('there are no kernel headers: install linux-libc-dev, or linux-headers');
}

// struct seccomp_data
const NUMBER_AT = 0;
const ARCHITECTURE_AT = 4;
const ARGUMENTS_AT = 16;

const LOAD = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP_IF_EQUAL = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const RETURN = 0x06; // BPF_RET | BPF_K

const KILL = 0x80000000;
const ERRNO = 0x00050000;
const ALLOW = 0x7fff0000;

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, k: number];

// Falls through, with the number loaded again, where the rule does not say what becomes of the call.
function instructionsOf(number: number, { args = [], ...rule }: Rule): Instruction[] {
  const verdict = rule.action === 'SCMP_ACT_ALLOW' ? ALLOW : ERRNO | (rule.errnoRet ?? 1);
  const checks = args.flatMap(({ index, op, value, valueTwo = 0 }): Instruction[] => [
    [LOAD, 0, 0, ARGUMENTS_AT + 8 * index], // the lower half, of a little-endian machine
    ...(op === 'SCMP_CMP_MASKED_EQ' ? ([[AND, 0, 0, value]] as const) : []),
    [JUMP_IF_EQUAL, 0, 1, op === 'SCMP_CMP_EQ' ? value : valueTwo],
  ]);
  if (args.length > 1) throw new Error('a rule with several arguments');
  const block: Instruction[] = [...checks, [RETURN, 0, 0, verdict]];
  if (args.length > 0) block.push([LOAD, 0, 0, NUMBER_AT]);
  return [[JUMP_IF_EQUAL, 0, block.length, number], ...block];
}

/** The filter as an array of struct sock_filter, for a container without capabilities. */
export function filterOf(profile: Profile): Buffer {
  const calls = systemCalls();
  const rules = profile.syscalls.filter(({ includes }) => includes === undefined);
  const instructions: Instruction[] = [
    [LOAD, 0, 0, ARCHITECTURE_AT],
    [JUMP_IF_EQUAL, 1, 0, AUDIT_ARCH[architecture()]],
    [RETURN, 0, 0, KILL],
    [LOAD, 0, 0, NUMBER_AT],
    ...rules.flatMap((rule) =>
      rule.names.flatMap((name) => {
        const number = calls.get(name); // of another architecture
        return number === undefined ? [] : instructionsOf(number, rule);
      }),
    ),
    [RETURN, 0, 0, ERRNO | profile.defaultErrnoRet],
  ];
  const bytes = Buffer.alloc(8 * instructions.length);
  for (const [i, [code, ifTrue, ifFalse, k]] of instructions.entries()) {
    bytes.writeUInt16LE(code, 8 * i);
    bytes.writeUInt8(ifTrue, 8 * i + 2);
    bytes.writeUInt8(ifFalse, 8 * i + 3);
    bytes.writeUInt32LE(k >>> 0, 8 * i + 4);
  }
  return bytes;
}
