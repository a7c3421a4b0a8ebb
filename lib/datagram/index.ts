// What UDP, raw and packet sockets share: the descriptor's life, receiving, the queue of sends, their engine, and
// the metadata of datagrams. The rooms above import its files directly; this index has what users see of it.
// May import send, memory, native, observe, node and policy.
export type { DatagramZeroCopyOptions } from './options.js';
export type { BpfInstruction } from './socket-filter.js';
export type { DatagramControl, DatagramMessage, DatagramSendCallback } from './socket.js';
export type { Arrival } from './receive.js';
export type { DatagramStats } from './core.js';
