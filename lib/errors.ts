// Every error of this package: its own (`ERR_ZC_*`), Node's codes for bad arguments, and system errors in Node's
// shape. Match on `code`.
import { constants } from 'node:os';
import { getSystemErrorMap, getSystemErrorName, inspect } from 'node:util';

const { EBADF, EINVAL, EISDIR, EMSGSIZE, EPERM } = constants.errno;

/** Codes of errors that are this package's own. They are stable. */
export type ZeroCopyErrorCode =
  | 'ERR_ZC_BUFFER_DETACHED'
  | 'ERR_ZC_BUFFER_MUTATED'
  | 'ERR_ZC_FILE_CHANGED'
  | 'ERR_ZC_FILE_NOT_REGULAR'
  | 'ERR_ZC_FOREIGN_BUFFER'
  | 'ERR_ZC_FRAME_REFUSED'
  | 'ERR_ZC_HANDLE_TAKEN'
  | 'ERR_ZC_NO_RING'
  | 'ERR_ZC_POOL_DISPOSED'
  | 'ERR_ZC_QUEUE_FULL'
  | 'ERR_ZC_RING_FULL'
  | 'ERR_ZC_UNAVAILABLE';

function withCode<E extends Error>(error: E, code: string): E & { code: string } {
  Object.defineProperty(error, 'code', {
    value: code,
    enumerable: true,
    writable: true,
    configurable: true,
  });
  return error as E & { code: string };
}

export class ZeroCopyError extends Error {
  declare readonly code: ZeroCopyErrorCode;

  constructor(code: ZeroCopyErrorCode, message: string) {
    super(message);
    this.name = 'ZeroCopyError';
    withCode(this, code);
  }
}

// In the words of lib/internal/errors.js:determineSpecificType.
function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'function') return `function ${value.name}`;
  if (typeof value === 'object') return `an instance of ${value.constructor?.name ?? 'Object'}`;
  const shown = inspect(value, { colors: false });
  return `type ${typeof value} (${shown.length > 28 ? `${shown.slice(0, 25)}...` : shown})`;
}

export function invalidType(name: string, expected: string, actual: unknown): TypeError {
  const kind = name.includes('.') ? 'property' : 'argument';
  return withCode(
    new TypeError(`The "${name}" ${kind} must be ${expected}. Received ${describe(actual)}`),
    'ERR_INVALID_ARG_TYPE',
  );
}

/** @param reason such as 'must be a numeric IP address' */
export function invalidValue(name: string, reason: string, actual: unknown): TypeError {
  const kind = name.includes('.') ? 'property' : 'argument';
  return withCode(
    new TypeError(`The ${kind} '${name}' ${reason}. Received ${inspect(actual)}`),
    'ERR_INVALID_ARG_VALUE',
  );
}

export function outOfRange(name: string, expected: string, actual: unknown): RangeError {
  return outOfRangeFound(name, expected, inspect(actual));
}

/** The same where words say more than the value would. @param found such as 'a fragment' */
export function outOfRangeFound(name: string, expected: string, found: string): RangeError {
  return withCode(
    new RangeError(
      `The value of "${name}" is out of range. It must be ${expected}. Received ${found}`,
    ),
    'ERR_OUT_OF_RANGE',
  );
}

/** Node's error for what a function of the program answered. @param name of the function */
export function invalidReturn(name: string, expected: string, actual: unknown): TypeError {
  return withCode(
    new TypeError(
      `Expected ${expected} to be returned from the "${name}" function but got ${describe(actual)}.`,
    ),
    'ERR_INVALID_RETURN_VALUE',
  );
}

/** The name of an errno, e.g. EPIPE. @param errno negative, as the native layer answers it */
export function errnoName(errno: number): string {
  // ENOTSUPP (524) is internal to the kernel and in no table of names; kernels before 6.1 return it.
  return errno === -524 ? 'ENOTSUPP' : getSystemErrorName(errno);
}

/**
 * A failed system call in Node's shape, e.g. `write EPIPE`.
 * @param errno negative, as the native layer answers it
 * @param syscall the name Node uses for the operation
 */
export function systemError(errno: number, syscall: string): NodeJS.ErrnoException {
  const name = errnoName(errno);
  return Object.assign(withCode(new Error(`${syscall} ${name}`), name), { errno, syscall });
}

/** Node's error for a write that a destroy overtook. */
export function streamDestroyed(): Error {
  return withCode(
    new Error('Cannot call write after a stream was destroyed'),
    'ERR_STREAM_DESTROYED',
  );
}

/** Node's error for a write after the end. */
export function writeAfterEnd(): Error {
  return withCode(new Error('write after end'), 'ERR_STREAM_WRITE_AFTER_END');
}

/** Node's error for a body that is not as long as its header says. */
export function lengthMismatch(bytes: number, promised: string): Error {
  return withCode(
    new Error(
      `Response body's content-length of ${bytes} byte(s) does not match the content-length of ` +
        `${promised} byte(s) set in header`,
    ),
    'ERR_HTTP_CONTENT_LENGTH_MISMATCH',
  );
}

/** Node's error for a write on a socket that closed while it was connecting. */
export function closedBeforeConnection(): Error {
  return withCode(
    new Error('Socket closed before the connection was established'),
    'ERR_SOCKET_CLOSED_BEFORE_CONNECTION',
  );
}

export function bufferDetached(): ZeroCopyError {
  return new ZeroCopyError(
    'ERR_ZC_BUFFER_DETACHED',
    'The buffer was detached (transferred or structured-cloned) or resized before its bytes were sent. ' +
      'Keep it until the write callback fires or the promise of send() settles',
  );
}

/** @param what 'changed' or 'detached'; `stack`: the call that sent it */
export function bufferMutated(what: string, bytes: number, stack: string): ZeroCopyError {
  const error = new ZeroCopyError(
    'ERR_ZC_BUFFER_MUTATED',
    `A buffer of ${bytes} bytes was ${what} before its memory was released: wrong bytes may have ` +
      'been sent. Do not touch it until its callback fires, or send a copy. The stack shows who sent it',
  );
  error.stack = `${error.name}: ${error.message}\n${stack}`;
  return error;
}

/** A file that has become shorter than its announced length. */
export function fileShrunk(): ZeroCopyError {
  return new ZeroCopyError(
    'ERR_ZC_FILE_CHANGED',
    'The file became shorter while it was being sent, so the connection was closed. Replace files by ' +
      'rename(2) instead of rewriting them in place',
  );
}

/** Node's error for reading a directory. */
export function isDirectory(): Error {
  const error = systemError(-EISDIR, 'read');
  error.message = `EISDIR: illegal operation on a directory, read`;
  return error;
}

/** The error for a descriptor that sendFile() cannot use. @param file negative: of a FileHandle that is closed */
export function notOpen(syscall: string, file: number): NodeJS.ErrnoException {
  const error = systemError(-EBADF, syscall);
  const what = file < 0 ? 'a FileHandle that is closed' : `descriptor ${file}, which is not open`;
  error.message += `: the "file" argument is ${what}. Call sendFile() before you close it, or pass the path`;
  return error;
}

export function notRegularFile(): ZeroCopyError {
  return new ZeroCopyError(
    'ERR_ZC_FILE_NOT_REGULAR',
    'The "file" argument is not a regular file, so its size is not known. Pipe a stream of it instead',
  );
}

export function foreignBuffer(): ZeroCopyError {
  return new ZeroCopyError(
    'ERR_ZC_FOREIGN_BUFFER',
    'The buffer does not come from this pool, or it was freed already. Pass free() the object that ' +
      'alloc() or allocUnsafe() returned, not a part of it, and only once',
  );
}

export function poolDisposed(): ZeroCopyError {
  return new ZeroCopyError(
    'ERR_ZC_POOL_DISPOSED',
    'The pool was disposed of, by Symbol.dispose or at the end of the block of its `using`. Allocate from a pool ' +
      'that lives as long as its buffers are needed',
  );
}

export function handleTaken(): ZeroCopyError {
  return new ZeroCopyError(
    'ERR_ZC_HANDLE_TAKEN',
    'The socket was passed to another process while part of a write was waiting to be sent. ' +
      'Await socket.zeroCopy.flush() before passing the socket on',
  );
}

export function queueFull(maxQueuedBytes: number): ZeroCopyError {
  return new ZeroCopyError(
    'ERR_ZC_QUEUE_FULL',
    `More than maxQueuedBytes (${maxQueuedBytes}) would wait for space in the send buffer, so nothing of ` +
      "this send was sent. Wait for callbacks, raise maxQueuedBytes, or set whenQueueFull: 'wait'",
  );
}

export function ringFull(): ZeroCopyError {
  return new ZeroCopyError(
    'ERR_ZC_RING_FULL',
    'Every frame of the ring is reserved or being sent. Await ready(), or look at freeFrames first',
  );
}

export function noRing(): ZeroCopyError {
  return new ZeroCopyError(
    'ERR_ZC_NO_RING',
    'The socket has no ring: create it with the option `ring` to use reserve() and commit()',
  );
}

/** @param errno negative, the kernel's error for the frame */
export function frameRefused(errno: number, bytes: number): Error {
  const causes: Readonly<Record<number, string>> = {
    [-EMSGSIZE]: ", because the interface's MTU is smaller by now",
    [-EINVAL]: ', because its headers or its offload are wrong',
  };
  const message =
    `The kernel refused a frame of ${bytes} bytes with ${errnoName(errno)}${causes[errno] ?? ''}. ` +
    'It was not sent';
  return Object.assign(new ZeroCopyError('ERR_ZC_FRAME_REFUSED', message), {
    errno,
    syscall: 'send',
  });
}

export function unavailable(what: string, why: string): ZeroCopyError {
  return new ZeroCopyError(
    'ERR_ZC_UNAVAILABLE',
    `${what} need the native addon of this package, which is not available: ${why}`,
  );
}

/** An error with one of Node's own codes, as node:dgram throws it in the same situation. */
export function nodeError(code: string, message: string): NodeJS.ErrnoException {
  return withCode(new Error(message), code);
}

/** Node's error for a failed call that has an address, e.g. `send ECONNREFUSED 127.0.0.1:9`. */
export function addressError(
  errno: number,
  syscall: string,
  address: string | undefined,
  port?: number,
): NodeJS.ErrnoException {
  const error = systemError(errno, syscall);
  const details = port !== undefined && port > 0 ? `${address}:${port}` : (address ?? '');
  if (details !== '') error.message += ` ${details}`;
  return Object.assign(error, { address }, port !== undefined && port > 0 ? { port } : {});
}

/** Node's error for a buffer size that cannot be read or set. @param errno negative */
export function bufferSizeError(errno: number, syscall: string): Error {
  const [code, words] = getSystemErrorMap().get(errno) ?? [errnoName(errno), 'unknown'];
  const message = `Could not get or set buffer size: ${syscall} returned ${code} (${words})`;
  const error = nodeError('ERR_SOCKET_BUFFER_SIZE', message);
  const info = { errno, code, message: words, syscall };
  return Object.assign(error, { name: 'SystemError', info, errno, syscall });
}

/** Node's error for a datagram socket that is closed. */
export function notRunning(): Error {
  return nodeError('ERR_SOCKET_DGRAM_NOT_RUNNING', 'Not running');
}

/** Node's error for an address that a net.BlockList refuses. */
export function ipBlocked(ip: string): Error {
  return nodeError('ERR_IP_BLOCKED', `IP(${ip}) is blocked by net.BlockList`);
}

/** The error for an interface that there is not. @param errno negative, as `syscall` answers it */
export function noInterface(
  errno: number,
  syscall: string,
  nameOrIndex: string | number,
): NodeJS.ErrnoException {
  const error = systemError(errno, syscall);
  error.message += `: no interface ${inspect(nameOrIndex)} in this network namespace`;
  return error;
}

/** The error for a socket that only a privileged process may open. */
export function notPermitted(what: string): NodeJS.ErrnoException {
  const error = systemError(-EPERM, 'socket');
  error.message +=
    `: ${what} need CAP_NET_RAW. Run as root, or grant it: ` +
    'setcap cap_net_raw+ep "$(readlink -f "$(command -v node)")", AmbientCapabilities=CAP_NET_RAW in a systemd ' +
    'unit, or --cap-add NET_RAW for a container';
  return error;
}
