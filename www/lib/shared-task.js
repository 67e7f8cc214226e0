import { abortReason } from "./errors.js";

/**
 * One piece of work that several callers may wait for. It starts with the first caller, is
 * aborted when the last one has left, and starts anew for the next caller after a failure.
 *
 * @template T
 */
export class SharedTask {
  #start;
  /** @type {{promise: Promise<T>, controller: AbortController, waiting: number} | undefined} */
  #attempt;
  #finished = false;

  /** @param {(signal: AbortSignal) => Promise<T>} start */
  constructor(start) {
    this.#start = start;
  }

  /** Whether the work is done. */
  get finished() {
    return this.#finished;
  }

  /**
   * Waits for the work; rejects at once when `signal` aborts.
   * @param {AbortSignal} signal
   * @returns {Promise<T>}
   */
  join(signal) {
    if (signal.aborted) return Promise.reject(abortReason(signal));
    const attempt = (this.#attempt ??= this.#begin());
    attempt.waiting += 1;
    return new Promise((resolve, reject) => {
      let waits = true;
      const leave = () => {
        if (!waits) return;
        waits = false;
        signal.removeEventListener("abort", onAbort);
        attempt.waiting -= 1;
      };
      const onAbort = () => {
        leave();
        if (attempt.waiting === 0 && !this.#finished) {
          if (this.#attempt === attempt) this.#attempt = undefined;
          attempt.controller.abort(abortReason(signal));
        }
        reject(abortReason(signal));
      };
      signal.addEventListener("abort", onAbort);
      attempt.promise.then(resolve, reject).finally(leave);
    });
  }

  #begin() {
    const controller = new AbortController();
    const attempt = { promise: this.#start(controller.signal), controller, waiting: 0 };
    attempt.promise.then(
      () => {
        this.#finished = true;
      },
      () => {
        // The next caller tries again.
        if (this.#attempt === attempt) this.#attempt = undefined;
      },
    );
    return attempt;
  }
}
