// The only list of native sources: binding.gyp and CMakeLists.txt both ask it.
// Usage: node scripts/sources.mjs kernel|node|addon   (addon = kernel + node)
const kernel = [
  'datagram',
  'errqueue',
  'hash',
  'interface',
  'io_uring',
  'io_uring_send',
  'pages',
  'probe',
  'route',
  'sys',
  'tcp',
  'tx_ring',
].map((name) => `native/kernel/${name}.cc`);
const node = [
  'addon',
  'arguments',
  'constants',
  'datagram',
  'env',
  'hash',
  'old_glibc',
  'pieces',
  'port',
  'reactor',
  'reactor_ring',
  'ring',
  'route',
  'slabs',
  'submit_ring',
  'uring',
].map((name) => `native/node/${name}.cc`);

const lists = { kernel, node, addon: [...kernel, ...node] };
const wanted = process.argv[2] ?? 'addon';
if (!(wanted in lists)) {
  console.error(`sources.mjs: unknown list '${wanted}', expected ${Object.keys(lists).join(', ')}`);
  process.exit(2);
}
console.log(lists[wanted].join('\n'));
