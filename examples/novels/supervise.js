/**
 * Keeps the service running: it starts again whenever it ends, with the settings it then finds in the env file. What
 * systemd does with Restart=always and EnvironmentFile=, for places without one.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { named } from './lib/deployment.js';

const SERVICE = fileURLToPath(new URL('./service.js', import.meta.url));
const CRASHED_MS = 1000;

const { deployment } = named();
let service;
let stopping = false;

function start() {
  if (stopping) return;
  const settings = deployment.settings();
  const env = { ...process.env, ...settings };
  service = spawn(process.execPath, [SERVICE, '--port', settings.PORT], { env, stdio: 'inherit' });
  deployment.pid = service.pid;
  service.once('exit', (code) => setTimeout(start, code ? CRASHED_MS : 0));
}

function stop() {
  stopping = true;
  service.kill('SIGTERM');
}

process.once('SIGTERM', stop);
process.once('SIGINT', stop);
start();
