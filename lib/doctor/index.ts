// The doctor: what this machine allows (capabilities()), and what happens to a zero-copy send to a given address
// (diagnose()).
// May import every other room; no room imports it.
export { capabilities } from './capabilities.js';
export type { Capabilities, Capability, Support } from './capabilities.js';
export { diagnose } from './diagnose.js';
export type { Diagnosis, Finding, Remedy, Verdict } from './diagnose.js';
