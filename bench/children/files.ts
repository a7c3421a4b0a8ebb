// Answers of a server with a file, by whatever way the contestant has.
import fs from 'node:fs';
import type http from 'node:http';
import os from 'node:os';
import path from 'node:path';

/** What answers with a file of so many bytes, which is gone when the process ends. */
export async function fileAnswer(
  bytes: number,
  how: 'pipe' | 'sendFile',
): Promise<(response: http.ServerResponse) => void> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'zc-bench-'));
  const file = path.join(folder, 'file');
  fs.writeFileSync(file, Buffer.alloc(bytes, 'file'));
  process.on('exit', () => fs.rmSync(folder, { recursive: true }));
  if (how === 'pipe') {
    return (response) => {
      response.setHeader('Content-Length', bytes);
      fs.createReadStream(file).pipe(response);
    };
  }
  const { sendFile } = await import('../../lib/index.js');
  return (response) => {
    sendFile(response, file).catch(() => response.destroy());
  };
}
