/**
 * A hook of the cutover: restarts the service on another database. `node switch.js postgres`, or `sqlite`.
 * On PostgreSQL it begins with its writes paused: `smoke.js` opens them once the reads are proven. A cutover that fails
 * its smoke test before that goes back by itself, as nobody has written yet.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { named } from './lib/deployment.js';

const PATIENCE_MS = 20_000;
const LOOK_MS = 10;

async function servesFrom(deployment, provider) {
  try {
    const health = await deployment.ask('GET', '/health');
    return health.status === 200 && health.provider === provider;
  } catch {
    return false;
  }
}

async function main() {
  const { deployment, words: [provider] } = named();
  if (provider !== 'sqlite' && provider !== 'postgres') throw new Error('usage: node switch.js sqlite|postgres');
  deployment.change({ DB_PROVIDER: provider, WRITES: provider === 'postgres' ? 'paused' : 'open' });
  // Its supervisor starts it again.
  process.kill(deployment.pid, 'SIGTERM');
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await servesFrom(deployment, provider))) {
    if (performance.now() > deadline) throw new Error(`the service is not up on ${provider} after ${PATIENCE_MS} ms`);
    await sleep(LOOK_MS);
  }
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
