// Sends that the machine's own configuration refuses: routes, early; netfilter, when the packet exists
// and its id has been given.
import assert from 'node:assert/strict';
import { denyPort, refuseRoute } from './udp-network';
import type { UdpParams } from '../helpers/udp-place';
import type { Target } from '../helpers/udp-receiver';
import { type Session, withSession } from '../helpers/udp-session';
import { amidst, failingTo } from './udp-failures';

// Documentation prefixes (RFC 5737, RFC 3849): no host has them.
const NOWHERE = { udp4: '198.51.100.', udp6: '2001:db8::' };

/** No route at all. */
export async function noRoute(params: UdpParams): Promise<void> {
  const codes = await amidst(params, failingTo(900, 9, `${NOWHERE[params.type]}9`));
  assert.deepEqual(codes, ['ENETUNREACH']);
}

/** Routes that refuse, each with its own errno. */
export async function refusingRoutes(params: UdpParams): Promise<void> {
  const kinds = { prohibit: 'EACCES', blackhole: 'EINVAL', unreachable: 'EHOSTUNREACH' };
  for (const [index, [kind, code]] of Object.entries(kinds).entries()) {
    const address = `${NOWHERE[params.type]}${index + 1}`;
    refuseRoute(kind, address);
    assert.deepEqual(await amidst(params, failingTo(900, 9, address)), [code]);
  }
}

// One refused send, zero-copy and with memory of its own. In turn: small, without a byte, segments.
function sendDenied(session: Session, denied: Target, round: number): Promise<unknown> {
  const { socket, out } = session;
  const { port, address } = denied;
  if (round % 4 === 3) {
    const parcel = out.takeSegments(denied, 500, 2300);
    return out.promised(parcel, socket.send(parcel.data, { port, address, segmentSize: 500 }));
  }
  const parcel = out.take(denied, round % 4 === 2 ? 0 : 800);
  return out.promised(parcel, socket.send(parcel.data, { port, address }));
}

function sendGood({ socket, out, target }: Session, count: number): void {
  for (let i = 0; i < count; i++) {
    const parcel = out.take(target, 150 + i);
    socket.send(parcel.data, target.port, target.address, out.releaseCallback(parcel));
  }
}

/** Dropped by netfilter on OUTPUT: EPERM, with an id. Answers why it could not be tried. */
export async function filtered(params: UdpParams): Promise<string | undefined> {
  let problem: string | undefined;
  await withSession(params, {}, async (session) => {
    const { out, receiver } = session;
    const denied = await receiver.target(params.type);
    problem = denyPort(denied.port);
    if (problem !== undefined) return;
    for (let round = 0; round < 60; round++) {
      sendGood(session, round % 5);
      const failed = sendDenied(session, denied, round);
      sendGood(session, 2);
      if (round % 3 === 0) await failed;
    }
    await out.verify();
    assert.deepEqual([...new Set(out.errors)], ['EPERM']);
    assert.equal(out.errors.length, 60);
  });
  return problem;
}

/** A batch in which some are refused: each is told its own error. */
export async function filteredBatch(params: UdpParams): Promise<string | undefined> {
  let problem: string | undefined;
  await withSession(params, {}, async ({ socket, out, target, receiver }) => {
    const denied = await receiver.target(params.type);
    problem = denyPort(denied.port);
    if (problem !== undefined) return;
    const wrong: string[] = [];
    for (let i = 0; i < 200; i++) {
      const to = i % 9 === 4 ? denied : target;
      const parcel = out.take(to, 200 + i);
      const done = out.releaseCallback(parcel);
      socket.send(parcel.data, to.port, to.address, (error, bytes) => {
        const code = (error as NodeJS.ErrnoException | null)?.code;
        if (code !== (to === denied ? 'EPERM' : undefined)) wrong.push(`${i}: ${code}`);
        done(error, bytes);
      });
    }
    await out.verify();
    assert.deepEqual(wrong, []);
  });
  return problem;
}
