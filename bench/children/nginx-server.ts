// nginx in the sender's place: one process, sendfile(2), the same file. Its requests are those that its status
// page counts, which is asked over a Unix-domain socket; its bytes are the kernel's, as ss(8) shows them.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { FileServerOrder, Snapshot } from '../protocol';
import { onAsked, say, takeOrder } from './session';
import { doneOf } from './window';

const pollMs = 20;

/** As Debian's package has it, but for one process, and connections that are kept for as long as they are used. */
function configuration({ address, file }: FileServerOrder, port: number, folder: string): string {
  const host = address.includes(':') ? `[${address}]` : address;
  return `
    daemon off; master_process off; user root; pid ${folder}/pid; error_log stderr crit;
    events { worker_connections 4096; }
    http {
      access_log off; default_type application/octet-stream; keepalive_requests 1000000000;
      sendfile on; tcp_nopush on;
      client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
      fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
      server { listen ${host}:${port}; root ${path.dirname(file)}; index index.html; }
      server { listen unix:${folder}/status; location / { stub_status; } }
    }`;
}

async function freePort(address: string): Promise<number> {
  const server = net.createServer().listen(0, address);
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  return port;
}

class Status {
  readonly #socketPath: string;
  #asked = 0;

  constructor(folder: string) {
    this.#socketPath = path.join(folder, 'status');
  }

  /** Requests of others so far, and connections that others have open. */
  async ask(): Promise<{ requests: number; connections: number }> {
    const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
      const { get } = http;
      get({ socketPath: this.#socketPath, agent: false }, resolve).on('error', reject);
    });
    let text = '';
    for await (const part of response) text += String(part);
    this.#asked++;
    const [connections = 0, , , requests = 0] = (text.match(/\d+/g) ?? []).map(Number);
    return { requests: requests - this.#asked, connections: connections - 1 };
  }

  async until(what: (now: { requests: number; connections: number }) => boolean): Promise<void> {
    while (!what(await this.ask())) await sleep(pollMs);
  }
}

/** Bytes that went over the connections to a port which are open. */
function bytesSent(port: number): number {
  const { stdout } = spawnSync('ss', ['-tinH', `sport = :${port}`], { encoding: 'utf8' });
  return [...stdout.matchAll(/\bbytes_sent:(\d+)/g)].reduce((sum, [, n]) => sum + Number(n), 0);
}

/** Ticks of user and system time, sampled, and nanoseconds of both together, exact. */
function timesOf(pid: number): { user: number; system: number; ran: number; waited: number } {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
  const [ran = 0, waited = 0] = readFileSync(`/proc/${pid}/schedstat`, 'latin1')
    .split(' ')
    .map(Number);
  return { user: Number(fields[11]), system: Number(fields[12]), ran, waited };
}

async function main(): Promise<void> {
  const order = takeOrder<FileServerOrder>();
  const folder = mkdtempSync(path.join(os.tmpdir(), 'zc-bench-nginx-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const port = await freePort(order.address);
  const file = path.join(folder, 'nginx.conf');
  writeFileSync(file, configuration(order, port, folder));
  // It ends with this process, however that ends.
  const argv = ['--pdeathsig', 'KILL', 'nginx', '-p', folder, '-c', file];
  const nginx = spawn('setpriv', argv, { stdio: ['ignore', 'ignore', 'inherit'] });
  nginx.once('exit', (code) => process.exit(code ?? 1));
  const status = new Status(folder);
  while ((await status.ask().catch(() => undefined)) === undefined) await sleep(pollMs);
  say({ event: 'ready', port } as { event: string });
  const pid = nginx.pid as number;
  onAsked(async () => {
    const { requests } = await status.ask();
    const { user, system, ran, waited } = timesOf(pid);
    const share = user + system > 0 ? user / (user + system) : 0;
    const microseconds = ran / 1000;
    const kernelThreads = order.kernelThreads.reduce(
      (sum, name) => sum + Number(readFileSync(name, 'utf8').split(' ')[0]),
      0,
    );
    const snapshot: Snapshot = {
      ...{ at: performance.now(), kernelThreads, waited },
      ...{ user: microseconds * share, system: microseconds * (1 - share) },
      ...doneOf(order.bytes, requests, () => bytesSent(port)),
    };
    return { event: 'snapshot', ...snapshot };
  });
}

void main();
