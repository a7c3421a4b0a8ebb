// Which way the arrows between the rooms of lib/ point. Type imports count as much as others.

/** What each room may import, beside itself and the leaves. */
const LOW = ['observe', 'node', 'policy'];
const SENDING = ['send', 'memory', 'native', ...LOW];
const ROOMS = {
  doctor: ['tcp', 'files', 'udp', 'raw', 'packet', 'datagram', ...SENDING],
  tcp: ['files', ...SENDING],
  files: SENDING,
  udp: ['datagram', ...SENDING],
  raw: ['datagram', ...SENDING],
  packet: ['datagram', ...SENDING],
  datagram: SENDING,
  send: ['memory', 'native', ...LOW],
  memory: ['native', ...LOW],
  native: LOW,
  observe: ['node'],
  node: [],
  policy: [],
};
const LEAVES = '^lib/(names|errors|version)\\.ts$';

const arrows = Object.entries(ROOMS).map(([room, below]) => ({
  name: `${room}-imports-what-is-below`,
  severity: 'error',
  from: { path: `^lib/${room}/` },
  to: {
    path: '^lib/',
    pathNot: [`^lib/(${[room, ...below].join('|')})/`, LEAVES],
  },
}));

export default {
  forbidden: [
    ...arrows,
    {
      name: 'every-room-is-listed-here',
      severity: 'error',
      from: { path: '^lib/[^/]+/', pathNot: `^lib/(${Object.keys(ROOMS).join('|')})/` },
      to: {},
    },
    {
      name: 'no-cycle',
      severity: 'error',
      from: { path: '^lib/' },
      to: { circular: true },
    },
    {
      name: 'policy-is-pure',
      severity: 'error',
      from: { path: '^lib/(policy/|datagram/inflight\\.ts$)' },
      to: { pathNot: '^lib/policy/' },
    },
    {
      name: 'leaves-import-nothing-of-ours',
      severity: 'error',
      from: { path: LEAVES },
      to: { path: '^(lib|scripts|bench|test|examples)/' },
    },
    {
      name: 'lib-stands-alone',
      severity: 'error',
      from: { path: '^lib/' },
      to: { path: '^(scripts|bench|test|examples)/' },
    },
    {
      name: 'lib-needs-what-is-installed-with-it',
      severity: 'error',
      from: { path: '^lib/' },
      to: {
        dependencyTypes: ['npm-dev', 'npm-no-pkg', 'unknown', 'undetermined'],
        dependencyTypesNot: ['npm-peer'], // for tests they are installed as well
      },
    },
    {
      name: 'one-file-loads-the-addon',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/native/binding\\.ts$' },
      to: { path: '(^|/)node_modules/(bindings|detect-libc)/' },
    },
    {
      name: 'names-say-what-is-inside',
      severity: 'error',
      from: {},
      to: { path: '/(util|utils|manager|managers|helper|helpers)\\.(ts|mts)$' },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
  },
};
