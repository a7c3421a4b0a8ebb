// An upgraded http server whose handlers pass callbacks with their data (see http-answers.ts). The
// path names the answer, the header x-stream the keystream; `Expect: 100-continue` goes through a
// 'checkContinue' handler. Argument: {address}. Writes {port}, then {note} for each callback.
import http from 'node:http';
import type net from 'node:net';
import { enableZeroCopy } from '../../lib/index';
import { answer } from './http-answers';
import { argument, print } from '../helpers/program-side';

const respond: http.RequestListener = (request, response) => {
  const name = decodeURIComponent(request.url?.slice(1) ?? '');
  answer(name, response, Number(request.headers['x-stream']), (note) => print({ note }));
};

const server = enableZeroCopy(http.createServer(respond), { engine: 'msg_zerocopy' });
server.on('checkContinue', (request: http.IncomingMessage, response: http.ServerResponse) => {
  response.writeContinue();
  request.resume().once('end', () => respond(request, response));
});
server.listen(0, argument<{ address: string }>().address, () =>
  print({ port: (server.address() as net.AddressInfo).port }),
);
