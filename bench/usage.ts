// What `npm run bench -- --help` prints.
export const usage = `Usage: npm run bench -- [workloads...] [options]

Workloads (default: tcp http)
  tcp             tcp-stream, tcp-small and tcp-loopback
  tcp-stream      CPU per GB of one socket that writes without pause; with --connections, of that
                  many sockets against the first number of them
  tcp-small       small writes per CPU second
  tcp-loopback    the same as tcp-stream on loopback, after the first second
  http            CPU per request of a keep-alive http server under full load
  http-latency    latency of the same server under low load, in an open loop; and beside ten slow readers of
                  10 MiB each
  http-in-turn    the same as http, of servers that run at the same time and are loaded in turn, a quarter of a
                  second each: a host whose clock changes disturbs it least
  files           a server of one file in the page cache: piped as in plain Node, piped and upgraded, sendFile(),
                  nginx where it is installed; express.static, @fastify/static; over loopback; and from a disk
  mix             the same as http, of a server whose bodies are of 1K to 1M: each size equally often, or
                  in inverse proportion to it, of one body each or of many; and of single sizes
  tuning          state, thresholds and CPU per GB over twelve seconds: a stream on the rig and on
                  loopback, the mix, and a stream beside a capture; with --svg a chart of each
  floor           floor-stream and floor-http: against the least that a send from Node can cost (a
                  throw-away addon), in the first second of a process, in the second one, and warm,
                  with receivers that read and that discard
  broadcast       CPU of one message to many sockets in one turn of the event loop, by the sockets and by ws
  pacing          what one socket delivers over a long path with a slower hop in it, that drops what comes in
                  bursts of more than 256K: plain, upgraded, and upgraded with a maxPacingRate
  memory          resident memory of idle connections
  memory-growth   resident memory over time under a mixed load
  udp             udp-send and udp-receive
  udp-send        CPU per GB of 1400-byte datagrams sent without pause
  udp-receive     such datagrams received per CPU second, on loopback
  raw             CPU per GB of raw IPv4 packets of 1500 bytes that bring their header
  packet          CPU per GB of frames of 1500, 9000 and 64K (cut by the device)

Options
  --rounds N         rounds of interleaved trials (5)
  --seconds S        measured seconds of one trial (1.5)
  --warmup S         seconds before that (0.8; tcp-loopback 1, http 1.5, http-latency and mix 2)
  --size LIST        sizes, e.g. 4K,64K,1M; mix: single ones
  --footprint SIZE   memory the buffers of a stream (4M) or the bodies of an http server (one body)
                     cover together; mix: its many bodies (512M)
  --contestants LIST of plain, upgraded, floor, floor:io_uring, c-copy, c-zerocopy and engines by name:
                     auto, msg_zerocopy, io_uring, copy (plain,upgraded; mix alone: plain and all
                     engines but copy; tuning alone: auto). Upgraded ones may end in +pool: buffers
                     and bodies come from a BufferPool. The C contestants take part in tcp-stream
                     (of one socket) and tcp-loopback.
                     Of the datagram workloads: names of their rows (all)
  --engine NAME      engine of 'upgraded': auto, msg_zerocopy, io_uring, copy (the library's default)
  --threshold SIZE   threshold of every upgraded contestant (the library's default)
  --pattern LIST     tcp-small: burst (one by one), corked (16 at a time)
  --phase LIST       floor: cold, early, warm (all)
  --receiver LIST    floor: reads, discards (both); http-in-turn: one of them (reads)
  --check            exit code 1 when a target is missed by more than a tenth
  --connections LIST tcp-stream: sockets that write in turn, e.g. 1,1000 (one socket alone);
                     http, files, mix: of the load generator (8,100); http-latency (8); memory: idle ones (10000)
  --request-rate N   http-latency: requests a second (200)
  --sink NAME        where udp-send, raw and packet send to: ifb (the pure cost of sending) or
                     xdp-drop (a veth that cuts GSO in software) (ifb)
  --produce NAME     packet: counter (headers and a counter per frame, one whole frame a batch) or
                     whole (all of every frame) (counter)
  --minutes M        memory-growth: minutes per contestant (3)
  --place NAME       rig or loopback (the rig where it can be had; tcp-small and memory: loopback);
                     says nothing to the datagram workloads
  --rate RATE        rate limit of the rig, e.g. 10gbit; pacing: of the hop (1gbit)
  --round-trip LIST  pacing: milliseconds (10,50)
  --family 4|6       IP version (4)
  --json FILE        one file for all results (default bench/results/<workload>.json)
  --svg DIR          also draw a chart per workload
  --help             this text

Trials of the contestants alternate within a round, every trial is a process of its own, and ratios
are taken within a round. Exit code: 0 measured (also when a target was missed), 1 failed, 2 usage.`;
