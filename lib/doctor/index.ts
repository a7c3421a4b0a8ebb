// The doctor: what this machine allows (capabilities()), and what happens to a zero-copy send to a given address
// (diagnose()).
// May import every other room; no room imports it.
// What diagnose() needs is loaded when it is first called.
/* eslint-disable @typescript-eslint/no-require-imports */
import type { Diagnosis } from './finding.js';

export { capabilities } from './capabilities.js';
export type { Capabilities, Capability, Support } from './capabilities.js';
export type { Diagnosis, Finding, Remedy, Verdict } from './finding.js';

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
  const { examine } = require('./examine.js') as typeof import('./examine.js');
  return examine(target);
}
