// Frames sent through packet sockets, by copying and through a ring, as datagrams for an ordinary
// socket at the far end: the same suite for both.
import { packetSuites, plainPacketSuite } from '../helpers/packet-place';
import type { Variant } from '../scenarios/packet-send';

const RING = { frames: 8, frameSize: 4096 } as const;

// One of each engine and family in both places: how a frame leaves the device is the place's, what is in it
// is not.
const VARIANTS: readonly (readonly [string, Variant])[] = [
  ['copying, IPv4', { family: 4 }],
  ['a ring, IPv6', { family: 6, ring: RING }],
];

const OTHERS: readonly (readonly [string, Variant])[] = [
  ['copying, IPv6', { family: 6 }],
  ['copying, IPv4 with the link header by the kernel', { family: 4, type: 'dgram' }],
  ['copying, IPv6 with the link header by the kernel', { family: 6, type: 'dgram' }],
  ['a ring, IPv4', { family: 4, ring: RING }],
  ['a ring, IPv4 with the link header by the kernel', { family: 4, type: 'dgram', ring: RING }],
  ['copying, past the queue of the device', { family: 4, qdiscBypass: true }],
  ['a ring, past the queue of the device', { family: 6, qdiscBypass: true, ring: RING }],
  ['copying, with a virtio header', { family: 4, virtioHeader: true }],
  ['a ring, with a virtio header', { family: 6, virtioHeader: true, ring: RING }],
];

const SENTENCES = {
  callbacks: 'runs callbacks in the order of the sends',
  promises: 'settles promises with a report',
  gathered: 'gathers a frame from its pieces',
  many: 'sends many frames by one call',
  randomSizes: 'delivers frames of every length, sent in every way',
} as const;

const MORE = {
  slowDevice: 'releases memory as late as a slow device requires',
  lossy: 'delivers frames intact or not at all when some are lost',
  counted: 'reports copied bytes as copied',
} as const;

type Sentences = Readonly<Partial<Record<keyof typeof SENTENCES | keyof typeof MORE, string>>>;

for (const [title, variant] of VARIANTS) {
  packetSuites(`packet sockets, ${title}`, (getPlace) => {
    declare(getPlace, variant, { ...SENTENCES, ...MORE });
  });
}

for (const [title, variant] of OTHERS) {
  plainPacketSuite(`packet sockets, ${title}`, (getPlace) => {
    declare(getPlace, variant, SENTENCES);
  });
}

function declare(
  getPlace: Parameters<Parameters<typeof packetSuites>[1]>[0],
  variant: Variant,
  sentences: Sentences,
): void {
  for (const [name, sentence] of Object.entries(sentences)) {
    // Callbacks have no options, and without the link header the kernel must be told where to.
    if (name === 'callbacks' && variant.type === 'dgram') continue;
    it(sentence, () =>
      getPlace().runner.run('packet-send', name as keyof typeof SENTENCES, variant),
    );
  }
}
