// The only list of native sources: binding.gyp and CMakeLists.txt both ask it.
// Usage: node scripts/sources.mjs kernel|node|addon|fuzz   (addon = kernel + node; fuzz: the targets of
// test/fuzz, whose own sources are the lists fuzz:<target>)
const kernel = [
  'apart',
  'datagram',
  'datagram_control',
  'errqueue',
  'hash',
  'interface',
  'io_uring',
  'io_uring_send',
  'pacing',
  'pages',
  'probe',
  'route',
  'route_answer',
  'send_batch',
  'sendfile',
  'staging',
  'stream_releases',
  'stream_sender',
  'stream_write',
  'sys',
  'tcp',
  'tx_ring',
].map((name) => `native/kernel/${name}.cc`);
const node = [
  'addon',
  'arguments',
  'batch',
  'batch_thread',
  'constants',
  'datagram',
  'env',
  'files',
  'hash',
  'old_glibc',
  'pacing',
  'packet_ring',
  'port',
  'reactor',
  'reactor_ring',
  'reactor_stream',
  'route',
  'slabs',
  'stream',
  'submit_ring',
  'uring',
].map((name) => `native/node/${name}.cc`);

// What each fuzz target is linked with.
const fuzz = {
  arrival: ['datagram_control'],
  datagram_metadata: ['datagram_control'],
  errqueue: ['errqueue'],
  features: ['route_answer'],
  hash: ['hash'],
  ranges: [],
  route: ['route_answer'],
  stream_sender: ['stream_releases', 'stream_sender', 'stream_write', 'staging'],
  tx_ring: ['tx_ring', 'sys'],
};

const lists = { kernel, node, addon: [...kernel, ...node], fuzz: Object.keys(fuzz) };
for (const [target, names] of Object.entries(fuzz)) {
  const linked = names.map((name) => `native/kernel/${name}.cc`);
  lists[`fuzz:${target}`] = [`test/fuzz/${target}.cc`, ...linked];
}
const wanted = process.argv[2] ?? 'addon';
if (!(wanted in lists)) {
  console.error(`sources.mjs: unknown list '${wanted}', expected ${Object.keys(lists).join(', ')}`);
  process.exit(2);
}
console.log(lists[wanted].join('\n'));
