// Files on their way from the page cache to a socket, by sendfile(2): sendFile(), and streams of files that a
// program pipes. Stands on the socket's own descriptor and its stream's order; knows nothing of tcp/, which
// tells by setFileHosts() which sockets are upgraded. May import send, memory, native, observe, node and policy.
export { fileTotals, leftFile, sentFile, type FileTotals } from './file-totals.js';
export { setFileHosts, type FileHost } from './host.js';
export { liftLane } from './lane.js';
export type { SendFileOptions } from './arguments.js';
export type { FileName } from './file-source.js';
export { sendFile } from './send-file.js';
export { watchFilePipes } from './take-over.js';
