import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { createApp } from './lib/app.js';
import { WriteGate } from './lib/gate.js';
import { health } from './lib/store.js';
import { openStorage } from './storage/index.js';

const oneLine = (text) => String(text).replace(/\s+/g, ' ').trim();

/** The same trouble hits every request for a while: one line a second is enough. */
function warner() {
  let last = 0;
  return (message) => {
    if (Date.now() - last < 1000) return;
    last = Date.now();
    console.error(oneLine(message));
  };
}

function listen(server, port) {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server.address().port));
  });
}

function stopOnSignal(server, db) {
  const stop = () => {
    server.stopping = true;
    server.close(() => db.close());
    server.closeIdleConnections();
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}

async function main() {
  const { values } = parseArgs({ options: { port: { type: 'string', default: '8080' } } });
  const db = await openStorage();
  await health(db);
  const gate = new WriteGate();
  if (process.env.WRITES === 'paused') await gate.pause();
  const app = createApp(db, warner(), gate);
  const server = createServer((request, response) => {
    response.setHeader('x-db-provider', db.name);
    // A kept-alive connection would hold up the stop after its last answer.
    response.once('close', () => server.stopping && server.closeIdleConnections());
    app(request, response);
  });
  const port = await listen(server, Number(values.port));
  stopOnSignal(server, db);
  console.log(`listening on http://127.0.0.1:${port}`);
}

main().catch((error) => {
  console.error(oneLine(error.message || error.code || error));
  process.exit(1);
});
