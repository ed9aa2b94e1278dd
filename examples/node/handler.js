// Counts the words of each message: a handler in Node.js, without a dependency.
'use strict';

const http = require('node:http');

const port = Number(process.env.PORT || 8080);
const utf8 = new TextDecoder('utf-8', { fatal: true });
let stopping = false;

// What this handler is for. Throws if the body is not text.
function count(body, session, attempt) {
  const words = utf8.decode(body).split(/\s+/).filter(Boolean).length;
  return { words, bytes: body.length, session, attempt };
}

function answer(response, status, type, text) {
  const body = Buffer.from(text);
  if (stopping) response.setHeader('Connection', 'close');
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': body.length });
  response.end(body);
}

// 200 is done, 422 is never going to work, 5xx would be tried again.
function serve(request, response, body) {
  if (request.method !== 'POST' || request.url !== '/message') {
    return answer(response, 404, 'text/plain', 'only POST /message is served here\n');
  }
  const attempt = Number(request.headers['kubedaemon-attempt'] ?? 1);
  let result;
  try {
    const session = decodeURIComponent(request.headers['kubedaemon-session'] ?? '');
    result = count(body, session, attempt);
  } catch (error) {
    return answer(response, 422, 'text/plain', `the message cannot be read: ${error.message}\n`);
  }
  answer(response, 200, 'application/json', JSON.stringify(result));
}

const idle = new Set();
const server = http.createServer((request, response) => {
  idle.delete(request.socket);
  response.on('close', () => request.socket.destroyed || idle.add(request.socket));
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => serve(request, response, Buffer.concat(chunks)));
});
server.keepAliveTimeout = 60_000; // longer than callers keep an idle connection, so that they are the ones to close it

server.on('connection', (socket) => {
  idle.add(socket);
  socket.on('close', () => idle.delete(socket));
});

// Running calls are answered, idle connections closed (also unused ones, which closeIdleConnections() forgets); then nothing is left to do, and the process ends.
function stop() {
  stopping = true;
  server.close();
  for (const socket of idle) socket.destroy();
}
process.on('SIGTERM', stop);
process.on('SIGINT', stop);

server.listen({ port, host: '127.0.0.1', backlog: 128 });
