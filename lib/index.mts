// The ESM face of the CommonJS core: one copy of all state, whoever imports it.
export * from './index.js';
