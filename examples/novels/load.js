import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Client } from './lib/client.js';
import { Ledger } from './lib/ledger.js';
import { Requests } from './lib/requests.js';

const GRACE_MS = 5000;
const USAGE =
  'usage: node load.js --url URL [--url-file FILE] --ledger FILE [--rate N] [--clients N] [--seconds N]';

function options() {
  const { values } = parseArgs({
    options: {
      url: { type: 'string' },
      'url-file': { type: 'string' },
      rate: { type: 'string', default: '200' },
      clients: { type: 'string', default: '8' },
      seconds: { type: 'string', default: '60' },
      ledger: { type: 'string' },
    },
  });
  const [rate, clients, seconds] = [values.rate, values.clients, values.seconds].map(Number);
  const usable = rate > 0 && Number.isInteger(clients) && clients > 0 && seconds >= 0;
  if (!(values.url || values['url-file']) || !values.ledger || !usable) {
    throw new Error(USAGE);
  }
  return { url: values.url, urlFile: values['url-file'], ledger: values.ledger, rate, clients, seconds };
}

/** Hands out moments `rate` times a second; time lost in a pause is not made up in a burst. */
class Pace {
  #gap;
  #next = performance.now();

  constructor(rate) {
    this.#gap = 1000 / rate;
  }

  async turn(signal) {
    const now = performance.now();
    if (now - this.#next > 1000) this.#next = now;
    const wait = this.#next - now;
    this.#next += this.#gap;
    if (wait > 0) await sleep(wait, undefined, { signal }).catch(() => {});
  }
}

function stopAfter(seconds) {
  const stop = new AbortController();
  const abort = () => stop.abort();
  process.once('SIGTERM', abort);
  process.once('SIGINT', abort);
  if (seconds > 0) setTimeout(abort, seconds * 1000).unref();
  return stop.signal;
}

async function drive(client, pace, stop) {
  while (!stop.aborted) {
    await pace.turn(stop);
    if (!stop.aborted) await client.write();
  }
}

async function main() {
  const { rate, clients, seconds, ...places } = options();
  const stop = stopAfter(seconds);
  const ledger = new Ledger(places.ledger);
  const requests = new Requests({ ...places, stop, graceMs: GRACE_MS, onRetry: (kind) => ledger.error(kind) });
  const run = Date.now().toString(36);
  const all = Array.from({ length: clients }, (_, index) => new Client({ index, clients, run, requests, ledger }));
  await all[0].discoverFor(all);
  const pace = new Pace(rate);
  await Promise.all(all.map((client) => drive(client, pace, stop)));
  console.log(JSON.stringify(ledger.summary()));
  ledger.close();
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
