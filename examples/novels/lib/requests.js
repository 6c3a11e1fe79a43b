import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const TIMEOUT_MS = 15_000;
const RETRY_MS = 25;

/** Sends requests, again and again while the service is paused, busy or away. */
export class Requests {
  #deadline = Infinity;

  constructor({ url, urlFile, stop, graceMs, onRetry }) {
    Object.assign(this, { url, urlFile, onRetry });
    stop.addEventListener('abort', () => (this.#deadline = performance.now() + graceMs));
  }

  /** The file is read each time: a cutover moves the clients by rewriting it. */
  #base() {
    try {
      return (this.urlFile && readFileSync(this.urlFile, 'utf8').trim()) || this.url;
    } catch {
      return this.url;
    }
  }

  /** { status, answer, attempts, ms }; status 0 when it was given up unanswered. */
  async send(method, path, body) {
    const started = performance.now();
    for (let attempts = 1; ; attempts += 1) {
      const result = await this.#once(method, path, body);
      const ms = performance.now() - started;
      if (!result.retry) return { ...result, attempts, ms };
      this.onRetry(result.retry);
      if (performance.now() > this.#deadline) return { status: 0, attempts, ms };
      await sleep(RETRY_MS);
    }
  }

  async #once(method, path, body) {
    try {
      const response = await fetch(new URL(path, this.#base()), {
        method,
        body: body && JSON.stringify(body),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const answer = await response.json();
      if (response.status === 503) return { retry: `503 ${answer.error}` };
      return { status: response.status, answer };
    } catch (error) {
      return { retry: error.cause?.code ?? error.code ?? error.name };
    }
  }
}
