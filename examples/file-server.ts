// Serves the files of a folder over HTTP, from the page cache to the socket. One additional line does it.
// Usage: node dist/examples/file-server.js [folder] [port]
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { enableZeroCopy } from 'msg-zerocopy';

const [folder = '.', port = '8080'] = process.argv.slice(2);
const server = http.createServer(express().use(express.static(folder)));
enableZeroCopy(server).listen(Number(port), () => {
  console.log(`${folder} at http://localhost:${(server.address() as AddressInfo).port}/`);
});
