import { closeSync, openSync, writeSync } from 'node:fs';

const round = (ms) => Math.round(ms * 10) / 10;

/** One JSON line for each acknowledged write, on disk before the next one is sent. */
export class Ledger {
  #latencies = [];
  #kinds = {};
  #errors = {};
  #failed = 0;
  #unfinished = 0;
  #last = null;
  #longestGap = 0;

  constructor(file) {
    this.fd = openSync(file, 'a');
  }

  acknowledged(entry, ms) {
    writeSync(this.fd, `${JSON.stringify({ at: new Date().toISOString(), ...entry })}\n`);
    const now = performance.now();
    if (this.#last !== null) this.#longestGap = Math.max(this.#longestGap, now - this.#last);
    this.#last = now;
    this.#latencies.push(ms);
    this.#kinds[entry.kind] = (this.#kinds[entry.kind] ?? 0) + 1;
  }

  error(kind) {
    this.#errors[kind] = (this.#errors[kind] ?? 0) + 1;
  }

  failed(kind) {
    this.#failed += 1;
    this.error(kind);
  }

  unfinished() {
    this.#unfinished += 1;
  }

  summary() {
    const sorted = Float64Array.from(this.#latencies).sort();
    const last = sorted.length - 1;
    const at = (part) => (last < 0 ? null : round(sorted[Math.min(last, Math.floor(sorted.length * part))]));
    return {
      acknowledged: sorted.length,
      failed: this.#failed,
      unfinished: this.#unfinished,
      errors: this.#errors,
      kinds: this.#kinds,
      latency_p50_ms: at(0.5),
      latency_p99_ms: at(0.99),
      latency_max_ms: at(1),
      longest_gap_ms: round(this.#longestGap),
    };
  }

  close() {
    closeSync(this.fd);
  }
}
