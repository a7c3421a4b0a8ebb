// A test's line to a program at the receiver's end: requests and replies in JSON, one a line, which belong together by
// their number.
import { once } from 'node:events';
import net from 'node:net';
import { createInterface } from 'node:readline';

interface Numbered {
  readonly id: number;
  /** The program's error. */
  readonly failure?: string;
}

type Pending<Reply> = { resolve(reply: Reply): void; reject(error: Error): void };

// The low bits count: several processes may use one receiver.
let nextStream = (process.pid % 100_000) * 10_000;

/** Names a stream and chooses its bytes: no other stream of the receiver's has this number. */
export function newStream(): number {
  return nextStream++;
}

export class ControlLine<Request extends object, Reply extends Numbered> {
  readonly #pending = new Map<number, Pending<Reply>>();
  #nextId = 0;

  private constructor(readonly socket: net.Socket) {
    createInterface({ input: socket }).on('line', (line) => {
      const reply = JSON.parse(line) as Reply;
      const pending = this.#pending.get(reply.id);
      this.#pending.delete(reply.id);
      if (reply.failure === undefined) pending?.resolve(reply);
      else pending?.reject(new Error(`the receiver: ${reply.failure}`));
    });
    socket.on('error', () => undefined); // 'close' follows
    socket.on('close', () => {
      for (const { reject } of this.#pending.values()) reject(new Error('the receiver is gone'));
    });
  }

  /** @param first what the program expects on the line before the requests */
  static async open<Request extends object, Reply extends Numbered>(
    to: { readonly host: string; readonly port: number },
    first = '',
  ): Promise<ControlLine<Request, Reply>> {
    const socket = net.connect({ ...to, noDelay: true });
    await once(socket, 'connect');
    socket.write(first);
    return new ControlLine(socket);
  }

  ask(request: Request): Promise<Reply> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.socket.write(`${JSON.stringify({ id, ...request })}\n`);
    });
  }

  async close(): Promise<void> {
    const closed = once(this.socket, 'close');
    this.socket.destroy();
    await closed;
  }
}
