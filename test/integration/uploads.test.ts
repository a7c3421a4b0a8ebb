// undici, http.Agent, fetch() and stream.pipeline() as clients, upgraded by one line: what the server gets.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { stopPrograms } from '../helpers/program';
import { assertZeroCopy, startPlain, startUpgraded, underAllConditions } from './conditions';
import { BODY_BYTES, content, FILE_STREAM, sha256, UPLOADS } from './content';
import type { Receiving, ReceiverArgument } from '../scenarios/upload-receiver';
import type { Uploaded, UploaderArgument } from '../scenarios/uploader';

const ofBuffers = Array.from({ length: UPLOADS }, (_, stream) => sha256(content(stream)));
const ofFiles = Array.from({ length: UPLOADS }, () => sha256(content(FILE_STREAM)));

const CLIENTS: Record<UploaderArgument['client'], readonly string[]> = {
  'undici Client': ofBuffers,
  'undici Agent': ofBuffers,
  'undici Agent, from a stream': ofFiles,
  'undici fetch': ofBuffers,
  'the built-in fetch': ofBuffers,
  'http.Agent': ofBuffers,
  'stream.pipeline': ofFiles,
};

let folder = '';
let file = '';

underAllConditions('upgraded uploads', (getConditions) => {
  before(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'msg-zerocopy-integration-'));
    file = path.join(folder, 'file');
    writeFileSync(file, content(FILE_STREAM));
  });
  after(() => rmSync(folder, { recursive: true }));
  afterEach(stopPrograms);

  for (const [name, expected] of Object.entries(CLIENTS)) {
    const client = name as UploaderArgument['client'];
    const also = client === 'stream.pipeline' ? '' : ', also after the server broke one off';
    it(`${client} uploads without copying, and every byte arrives${also}`, async () => {
      const conditions = getConditions();
      const { options, place } = conditions;
      const host = place.address('receiver');
      const receiver = startPlain(
        'upload-receiver',
        { host } satisfies ReceiverArgument,
        conditions,
      );
      const ports = await receiver.next<Receiving>();
      const given: UploaderArgument = { client, host, ...ports, options, file };
      const uploader = startUpgraded('uploader', given, conditions);
      const { hashes, brokenOff, ...sent } = await uploader.next<Uploaded>();
      assert.deepEqual(hashes, expected);
      assert.equal(brokenOff, client === 'stream.pipeline' ? 'not tried' : 'failed');
      const bytes = UPLOADS * BODY_BYTES;
      assertZeroCopy(sent, bytes, conditions, client === 'stream.pipeline' ? bytes : 0);
      assert.deepEqual(await uploader.ended(), { code: 0, signal: null, stderr: '' });
    });
  }
});
