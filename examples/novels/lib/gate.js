/** Lets writes through until paused; pause() resolves when the last one in flight is done. */
export class WriteGate {
  paused = false;
  #running = 0;
  #drained = [];

  async enter(work) {
    this.#running += 1;
    try {
      return await work();
    } finally {
      this.#running -= 1;
      if (this.#running === 0) this.#drained.splice(0).forEach((resolve) => resolve());
    }
  }

  async pause() {
    this.paused = true;
    if (this.#running > 0) await new Promise((resolve) => this.#drained.push(resolve));
  }

  resume() {
    this.paused = false;
  }
}
