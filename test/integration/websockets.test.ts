// ws, its server and its client upgraded by one line: messages of 1 MiB both ways.
import assert from 'node:assert/strict';
import { stopPrograms } from '../helpers/program';
import { assertZeroCopy, startPlain, startUpgraded, underAllConditions } from './conditions';
import { content, MESSAGE_BYTES, sha256 } from './content';
import type { Dial, Exchanged, WebSocketArgument } from '../scenarios/websocket';

const MESSAGES = 8;
const STREAMS = { server: 1, client: 100 } as const;
// The streams use 7 of 8 bits.
const COMPRESSED = 0.85;

function hashesOf(role: 'server' | 'client'): string[] {
  return Array.from({ length: MESSAGES }, (_, i) =>
    sha256(content(STREAMS[role] + i, MESSAGE_BYTES)),
  );
}
const expected = { server: hashesOf('client'), client: hashesOf('server') } as const;

function messagesOf(upgraded: 'server' | 'client', deflate: WebSocketArgument['deflate']) {
  return (getConditions: Parameters<Parameters<typeof underAllConditions>[1]>[0]) => async () => {
    const conditions = getConditions();
    const { place, options } = conditions;
    const host = place.address(upgraded === 'server' ? 'sender' : 'receiver');
    const both = { host, deflate, messages: MESSAGES };
    const start = (role: 'server' | 'client', port: number) => {
      const given = { ...both, role, port, firstStream: STREAMS[role] };
      return role === upgraded
        ? startUpgraded('websocket', { ...given, options }, conditions)
        : startPlain('websocket', { ...given, options: null }, conditions);
    };
    const server = start('server', 0);
    const { port } = await server.next<{ port: number }>();
    const client = start('client', port);
    // In turn: one that is complete, one that the client leaves in the middle, and one more.
    for (const [i, ending] of (['complete', 'terminated', 'complete'] as const).entries()) {
      client.tell({ ending } satisfies Dial);
      const [ofServer, ofClient] = [await server.next<Exchanged>(), await client.next<Exchanged>()];
      if (ending === 'terminated') {
        assert.deepEqual(ofClient.received, expected.client.slice(0, 1));
        // Every callback has come, with an error or without.
        for (const { sent, failed } of [ofServer, ofClient]) assert.equal(sent + failed, MESSAGES);
        continue;
      }
      assert.deepEqual(ofServer.received, expected.server);
      assert.deepEqual(ofClient.received, expected.client);
      for (const { sent, failed } of [ofServer, ofClient])
        assert.deepEqual({ sent, failed }, { sent: MESSAGES, failed: 0 });
      const bytes = (i === 0 ? 1 : 2) * MESSAGES * MESSAGE_BYTES;
      const share = deflate === 'permessage-deflate' ? COMPRESSED : 1;
      assertZeroCopy(upgraded === 'server' ? ofServer : ofClient, share * bytes, conditions);
    }
  };
}

underAllConditions('upgraded ws', (getConditions) => {
  afterEach(stopPrograms);

  for (const upgraded of ['server', 'client'] as const) {
    for (const deflate of ['as it is', 'permessage-deflate'] as const) {
      const messages = deflate === 'as it is' ? 'messages' : 'deflated messages';
      const title = `its ${upgraded} sends ${messages} without copying, and both ends get every byte`;
      it(title, messagesOf(upgraded, deflate)(getConditions));
    }
  }
});
