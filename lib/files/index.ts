// Sends files from the page cache to a socket by sendfile(2): sendFile(), and streams of files that a program pipes.
// Uses the socket's own descriptor and the order of its stream; knows nothing of tcp/, which registers upgraded sockets
// by setFileHosts(). May import send, memory, native, observe, node and policy.
export { fileTotals, leftFile, sentFile, type FileTotals } from './file-totals.js';
export { setFileHosts, type FileHost } from './host.js';
export { liftLane } from './lane.js';
export type { SendFileOptions } from './arguments.js';
export type { FileName } from './file-source.js';
export { sendFile } from './send-file.js';
export { watchFilePipes } from './take-over.js';
