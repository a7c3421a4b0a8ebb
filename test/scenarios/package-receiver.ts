// Takes one connection with a keystream and says how many bytes of it were wrong. Plain Node.
import net from 'node:net';
import { countWrong } from '../../scripts/pattern';
import { argument, print } from '../helpers/program-side';

const { host, stream } = argument<{ host: string; stream: number }>();

const server = net.createServer({ allowHalfOpen: false }, (socket) => {
  let bytes = 0;
  let wrong = 0;
  socket.on('data', (part) => {
    wrong += countWrong(part, stream, bytes);
    bytes += part.length;
  });
  socket.on('close', () => {
    print({ bytes, wrong });
    server.close();
  });
});
server.listen(0, host, () => print({ port: (server.address() as net.AddressInfo).port }));
