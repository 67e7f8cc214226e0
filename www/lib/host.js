import { abortReason, RrsisError } from "./errors.js";
import { trustedScriptUrl } from "./trusted.js";

/**
 * How long a worker outlives its last user: an element that is moved in the page leaves and
 * comes back at once.
 */
const GRACE_MS = 5000;

/** Hosts by their configuration. @type {Map<string, WorkerHost>} */
const hosts = new Map();

/**
 * The host for a model on a device, shared by all who name the same.
 * @param {{model: string, device: "auto" | "webgpu" | "cpu", precision: "f32" | "int8", threads?: number, member?: number}} config
 *   `model`: absolute URL of a folder; `member`: which of several that are otherwise the same
 */
export function acquireHost(config) {
  const key = [config.device, config.precision, config.threads, config.member, config.model].join(" ");
  let host = hosts.get(key);
  if (!host) hosts.set(key, (host = new WorkerHost(config, () => hosts.delete(key))));
  host.retain();
  return host;
}

/**
 * The page's side of one worker: promises instead of messages, and a new worker when one dies.
 */
class WorkerHost {
  #config;
  #onGone;
  #worker;
  #users = 0;
  #timer;
  #nextId = 1;
  /** @type {Map<number, {message: object, resolve: Function, reject: Function, onProgress: Function}>} */
  #calls = new Map();
  /** Why the CPU was taken although WebGPU had been opened. */
  #degraded;
  /** The device that the worker has chosen. */
  #device;
  /** Waits for the end of the worker. @type {AbortController | undefined} */
  #watch;

  constructor(config, onGone) {
    this.#config = config;
    this.#onGone = onGone;
  }

  retain() {
    this.#users += 1;
    clearTimeout(this.#timer);
  }

  release() {
    this.#users -= 1;
    if (this.#users > 0) return;
    this.#timer = setTimeout(() => {
      this.#onGone();
      this.#stop();
    }, GRACE_MS);
  }

  /**
   * Sends a message and waits for its answer.
   *
   * @param {object} message without id; it is kept to be sent again, so nothing is transferred
   * @param {{signal?: AbortSignal, onProgress?: (progress: object, info?: object) => void}} options
   * @returns {Promise<any>}
   */
  call(message, { signal, onProgress = () => {} } = {}) {
    if (signal?.aborted) return Promise.reject(abortReason(signal));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#calls.delete(id);
        this.#worker?.postMessage({ type: "cancel", id });
        reject(abortReason(signal));
      };
      const settle = (finish) => (value) => {
        signal?.removeEventListener("abort", onAbort);
        this.#calls.delete(id);
        finish(value);
      };
      signal?.addEventListener("abort", onAbort);
      this.#calls.set(id, {
        message: { ...message, id },
        resolve: settle(resolve),
        reject: settle(reject),
        onProgress,
      });
      try {
        this.#started().postMessage({ ...message, id });
      } catch (error) {
        this.#calls.get(id)?.reject(refused(error));
      }
    });
  }

  #started() {
    if (!this.#worker) {
      const worker = startWorker();
      worker.addEventListener("message", (event) => this.#onMessage(worker, event.data));
      // A trap inside the program surfaces here, and its promise would never settle.
      worker.addEventListener("error", (event) => {
        event.preventDefault();
        const why = event.message ? ` (${event.message})` : ": its script could not be loaded";
        this.#onDeath(worker, new RrsisError("internal", `The worker stopped${why}. Try again.`));
      });
      const lifeline = `rrsis-worker-${Date.now()}-${Math.random()}`;
      worker.addEventListener("message", ({ data }) => data.type === "alive" && this.#awaitEnd(worker, lifeline));
      worker.postMessage({
        type: "open",
        model: this.#config.model,
        device: this.#degraded ? "cpu" : this.#config.device,
        precision: this.#config.precision,
        threads: this.#config.threads,
        lifeline,
      });
      this.#worker = worker;
    }
    return this.#worker;
  }

  #onMessage(worker, data) {
    if (worker !== this.#worker) return;
    if (data.type === "progress") {
      const info = data.info && this.#annotated(data.info);
      const calls = data.id === undefined ? [...this.#calls.values()] : [this.#calls.get(data.id)];
      for (const call of calls) call?.onProgress(data.progress, info);
    } else if (data.type === "device") {
      this.#device = data.device;
    } else if (data.type === "done") {
      const call = this.#calls.get(data.id);
      call?.resolve(call.message.type === "tool" ? data.value : this.#annotated(data.value));
    } else if (data.type === "failed") {
      const error = new RrsisError(data.error.code, data.error.message);
      if (data.fatal) this.#onDeath(worker, error, data.id);
      else this.#calls.get(data.id)?.reject(error);
    }
  }

  #annotated(value) {
    return this.#degraded ? { ...value, fallback: this.#degraded } : value;
  }

  /**
   * Replaces a worker that cannot go on. Where the choice of device is open and the GPU may be to
   * blame, the CPU takes over; otherwise the calls are told, and the next one starts afresh.
   */
  #onDeath(worker, error, id) {
    if (worker !== this.#worker) return;
    this.#stop();
    const gpuToBlame =
      this.#config.device === "auto" &&
      !this.#degraded &&
      this.#device === "webgpu" &&
      !["shard", "memory"].includes(error.code);
    if (gpuToBlame) {
      this.#degraded = `the graphics device failed (${error.message})`;
    } else if (id !== undefined) {
      this.#calls.get(id)?.reject(error);
    } else {
      for (const call of [...this.#calls.values()]) call.reject(error);
    }
    if (this.#calls.size === 0) return;
    const next = this.#started();
    for (const { message } of this.#calls.values()) next.postMessage(message);
  }

  /** A worker that the browser ends, for want of memory say, fires no event: its lock is free then. */
  #awaitEnd(worker, lifeline) {
    if (worker !== this.#worker) return;
    this.#watch = new AbortController();
    const ended = () => this.#onDeath(worker, new RrsisError("memory", "The browser ended the worker, as it does where memory runs short. Try again, or use a smaller image."));
    navigator.locks.request(lifeline, { signal: this.#watch.signal }, ended).catch(() => {});
  }

  #stop() {
    this.#watch?.abort();
    this.#watch = undefined;
    this.#worker?.terminate();
    this.#worker = undefined;
  }
}

/**
 * Imports the worker's modules and keeps the messages that come meanwhile. No module worker, because
 * sandboxed frames start none from a blob; and no static import, for which pages would have to allow
 * the package's host under `worker-src`, too.
 */
const BOOT = `((address) => {
  const early = [];
  const keep = ({ data }) => early.push(data);
  addEventListener("message", keep);
  import(address).then(
    () => {
      removeEventListener("message", keep);
      for (const data of early) dispatchEvent(new MessageEvent("message", { data }));
    },
    (error) => setTimeout(() => { throw error; }),
  );
})`;

function startWorker() {
  const url = new URL("../worker.js", import.meta.url);
  // A sandboxed frame has no origin ("null"), whatever its address says.
  if (url.origin === self.origin) {
    return new Worker(trustedScriptUrl(url.href), { type: "module" });
  }
  // A worker's script must be of the page's own origin; what it imports need not be.
  const local = URL.createObjectURL(new Blob([BOOT, `("${url.href}")`], { type: "text/javascript" }));
  const worker = new Worker(trustedScriptUrl(local));
  worker.addEventListener("message", () => URL.revokeObjectURL(local), { once: true });
  return worker;
}

function refused(error) {
  if (error instanceof DOMException && error.name === "DataCloneError") {
    return new RrsisError(
      "image",
      "The pixels of this image may not be read: it comes from another site that does not allow it (CORS), or it is closed.",
    );
  }
  return new RrsisError("internal", `The worker could not be started (${error.message}).`);
}
