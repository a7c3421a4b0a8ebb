// The names that users read: engines, states, and the reasons for copies.

/** The engine that sends the bytes of a socket. */
export type EngineName = 'msg_zerocopy' | 'io_uring' | 'tx_ring' | 'sendfile' | 'copy';

/** Why Node's own stream sent a file, or why it was copied. */
export type FileReason =
  | 'addon-unavailable' // capabilities() says why
  | 'kernel-refused' // sendfile(2) does not support this file or socket
  | 'tls' // it encrypts in memory
  | 'not-regular' // a device, a FIFO
  | 'no-size' // an empty file, or one of /proc, whose reported size is 0
  | 'own-stream' // a subclass, a stream with its own fs, or replaced methods
  | 'no-position' // a descriptor without `start`: its position is not known
  | 'other-readers' // 'data' or 'readable' listeners, several targets, an encoding
  | 'paused'
  | 'own-write' // write() of the response or of its socket was replaced
  | 'no-body' // HEAD, 204, 304
  | 'corked' // Node still has to frame part of a chunked response
  | 'strict-length' // Node counts what is written (strictContentLength)
  | 'interrupted'; // unpiped, paused, or read by other code in the middle

/** Why bytes are copied, or why zero copy is off. */
export type Reason =
  | 'kernel-copied' // the kernel reports copies on this route: loopback, a capture, no scatter-gather
  | 'enobufs' // optmem_max or RLIMIT_MEMLOCK ran out: sends in flight take what there is
  | 'limit-too-low' // optmem_max or RLIMIT_MEMLOCK has no room for one send
  | 'budget' // maxPendingBytes of the socket or of the process is pinned already
  | 'waiting-writer' // it waits for each callback before it writes on; copies call back a round trip sooner
  | 'below-threshold'
  | 'no-callback' // without a callback the caller cannot know when the memory is free
  | 'unpinnable-memory' // the kernel can read the memory and cannot pin it: memfd_secret, a device's mapping
  | 'send-failed' // a zero-copy send of these bytes failed, such as one of more than 17 pages
  | 'source' // options.source does not allow this memory
  | 'foreign-write' // data that waited in the stream at the upgrade, or did not come by the socket's own write()
  | 'disabled' // options.engine or MSG_ZEROCOPY_ENGINE is 'copy'
  | 'tls'
  | 'not-tcp' // a Unix-domain socket, a pipe, MPTCP
  | 'foreign-owner' // other code switched SO_ZEROCOPY on and counts the sends
  | 'shared-descriptor' // another process has the descriptor, too, or made it blocking
  | 'no-ring' // a packet socket without options.ring
  | 'not-reserved' // a frame that was not written in the ring
  | 'loopback' // a raw socket's ring: the route stays on this host
  | 'multicast' // likewise: to several hosts, or to all
  | 'no-route' // likewise: the kernel knows none, or it is changing
  | 'no-link-header' // likewise: the route's device is a tunnel, or no Ethernet
  | 'no-neighbour' // likewise: the next hop's link address is unknown, or the kernel has to confirm it
  | 'path-mtu' // likewise: longer than the path MTU: the kernel refuses or fragments it
  | 'kernel-route' // likewise: an encapsulating route, a header with another destination, options of one send
  | 'io_uring-refused' // options.engine asks for it, and MSG_ZEROCOPY sends; capabilities() says why there is none
  | 'fd-limit' // too few descriptors are left for a duplicate, or no room in epoll for one
  | 'no-descriptor' // this version of Node does not expose the socket's descriptor
  | 'addon-unavailable' // capabilities() says why
  | 'runtime-unsupported' // Bun, Deno: their libuv is not whole
  | 'kernel-unsupported'
  | FileReason;

/** What zero copy does on a socket. */
export type State =
  | 'active' // large writes go zero-copy
  | 'probing' // after a pause: the next large write tries again
  | 'paused' // large writes are copied for a while; `reason` says why
  | 'unsupported' // everything is copied; `reason` says why
  | 'closed';
