import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { Progress } from '../../scripts/progress';

/** What a whole run writes to a stream that is a terminal, or is none. */
function written(kind: 'terminal' | 'file'): string {
  let text = '';
  const stream = new Writable({
    write(chunk: Buffer, _encoding, callback) {
      text += chunk.toString();
      callback();
    },
  }) as unknown as NodeJS.WriteStream;
  stream.isTTY = kind === 'terminal';
  stream.columns = 80;
  for (const name of ['cursorTo', 'moveCursor', 'clearLine', 'clearScreenDown'] as const) {
    Object.assign(stream, { [name]: () => true });
  }
  const progress = new Progress(4, stream);
  progress.at(2, 'the third trial');
  progress.say('a line that stays');
  progress.stop();
  progress.stop();
  return text;
}

describe('the progress of a long run', () => {
  it('is a bar on a terminal, with the current step', () => {
    const text = written('terminal');
    assert.match(text, /50 %.*the third trial/s);
    assert.match(text, /a line that stays/);
  });

  it('prints only permanent lines to a file', () => {
    assert.equal(written('file'), 'a line that stays\n');
  });
});
