// Kernel filters: which datagrams a raw or packet socket receives.
import { endianness } from 'node:os';
import type { Native } from '../native/binding.js';
import { integer } from '../send/arguments.js';
import { invalidType, outOfRange, systemError } from '../errors.js';

/** One instruction of classic BPF, as `tcpdump -ddd` prints them. Source: linux/filter.h. */
export interface BpfInstruction {
  /** The operation, 0 to 65,535. */
  code: number;
  /** Instructions to skip when the condition holds, 0 to 255. */
  jt: number;
  /** Instructions to skip when it does not, 0 to 255. */
  jf: number;
  /** The operand, 0 to 2^32 - 1. */
  k: number;
}

/** BPF_RET | BPF_K with 0. */
export const REJECT_ALL: BpfInstruction = { code: 6, jt: 0, jf: 0, k: 0 };

/** BPF_MAXINSNS, include/uapi/linux/bpf_common.h. */
const MOST_INSTRUCTIONS = 4096;
const INSTRUCTION_BYTES = 8;

/** Encodes a program. Throws: ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE. */
export function encodeProgram(program: unknown): Buffer {
  if (!Array.isArray(program)) {
    throw invalidType('options.filter.program', 'an array of BPF instructions', program);
  }
  if (program.length === 0 || program.length > MOST_INSTRUCTIONS) {
    throw outOfRange(
      'options.filter.program.length',
      `>= 1 and <= ${MOST_INSTRUCTIONS}`,
      program.length,
    );
  }
  const bytes = Buffer.alloc(program.length * INSTRUCTION_BYTES);
  const little = endianness() === 'LE';
  (program as BpfInstruction[]).forEach(({ code, jt, jf, k }, index) => {
    const name = `options.filter.program[${index}]`;
    const at = index * INSTRUCTION_BYTES;
    integer(`${name}.code`, code, 0, 0xffff);
    integer(`${name}.k`, k, 0, 0xffffffff);
    if (little) bytes.writeUInt16LE(code, at);
    else bytes.writeUInt16BE(code, at);
    bytes[at + 2] = integer(`${name}.jt`, jt, 0, 255);
    bytes[at + 3] = integer(`${name}.jf`, jf, 0, 255);
    if (little) bytes.writeUInt32LE(k, at + 4);
    else bytes.writeUInt32BE(k, at + 4);
  });
  return bytes;
}

/** Throws: a system error, such as EINVAL for a program that does not end in a return. */
export function attachProgram(native: Native, port: number, program: Buffer): void {
  const failed = native.attachFilter(port, program);
  if (failed < 0) throw systemError(failed, 'setsockopt');
}

/**
 * The mask of ICMP_FILTER (32 types) or ICMP6_FILTER (256): a set bit blocks a type.
 * Throws: ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE.
 */
export function icmpMask(types: unknown, version: 4 | 6): Buffer {
  if (!Array.isArray(types)) {
    throw invalidType('options.filter.icmpTypes', 'an array of numbers', types);
  }
  const words = new Uint32Array(version === 4 ? 1 : 8).fill(0xffffffff);
  for (const type of types as unknown[]) {
    const bit = integer('options.filter.icmpTypes', type, 0, words.length * 32 - 1);
    words[bit >> 5] = (words[bit >> 5] as number) & ~(1 << (bit & 31));
  }
  return Buffer.from(words.buffer);
}
