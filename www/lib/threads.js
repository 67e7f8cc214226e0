/**
 * Several workers for one network: helpers run the program's module on the memory of the worker that
 * started them. Only pages that are isolated from other origins may share memory (the headers
 * `Cross-Origin-Opener-Policy: same-origin` and `Cross-Origin-Embedder-Policy: require-corp`).
 *
 * The program imports `helpers`, `begin`, `claim` and `end` (src/platform/threads.rs); it runs here and in
 * the helpers, which take one piece of a task after the other until none is left.
 */
import { trustedScriptUrl } from "./trusted.js";

/** Places of the shared counters. */
const NEXT = 0; // the next piece that nobody has taken
const CALL = 1; // which call this is, and in the low bits how many helpers are called
const BUSY = 2; // helpers that have not left the task
const FAILED = 3; // whether one has stopped
const PLACES = 4;

/** Low bits of a call. */
const COUNT_BITS = 9;
/** Beyond eight, threads wait for memory and for each other more than they help. */
const MOST = 8;
/** Looks at a counter before going to sleep: waking up takes longer than what is between two tasks. */
const LOOKS = 2000;
/** Milliseconds for starting all helpers. */
const PATIENCE = 10_000;

/** @type {Int32Array} */
let counters;
let count = 0;

/**
 * How many threads to compute with.
 * @param {number} [wanted] default: as many as the machine runs at once, at most 8
 */
export function threadsFor(wanted = Math.min(MOST, navigator.hardwareConcurrency ?? 1)) {
  return globalThis.crossOriginIsolated ? wanted : 1;
}

/**
 * Lets the program draw random numbers into shared memory, which browsers refuse. (The crate getrandom
 * 0.4 asks for them elsewhere only if the standard library was compiled for threads.)
 */
function allowRandomNumbers() {
  const draw = crypto.getRandomValues.bind(crypto);
  crypto.getRandomValues = (into) => {
    if (!(into.buffer instanceof SharedArrayBuffer)) return draw(into);
    into.set(draw(new Uint8Array(into.length)));
    return into;
  };
}

/**
 * Starts helpers of a program that runs in this worker, and waits until all are there: until then
 * nothing else may go on in the program.
 *
 * @param {{script: URL, module: WebAssembly.Module, memory: WebAssembly.Memory, threads: number}} program
 *   `threads`: this one included
 */
export async function startHelpers({ script, module, memory, threads }) {
  allowRandomNumbers();
  const shared = new Int32Array(new SharedArrayBuffer(PLACES * Int32Array.BYTES_PER_ELEMENT));
  const workers = [];
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("helpers took too long to start")), PATIENCE);
  });
  try {
    const url = trustedScriptUrl(new URL("../helper.js", import.meta.url).href);
    const ready = Array.from({ length: threads - 1 }, (_, index) => {
      const worker = new Worker(url, { type: "module" });
      workers.push(worker);
      worker.postMessage({ script: script.href, module, memory, counters: shared, slot: index + 1 });
      return new Promise((resolve, reject) => {
        worker.addEventListener("message", resolve, { once: true });
        worker.addEventListener("error", (event) => {
          event.preventDefault();
          reject(new Error(event.message || "a helper's script could not be loaded"));
        });
      });
    });
    await Promise.race([Promise.all(ready), late]);
  } catch (error) {
    for (const worker of workers) worker.terminate();
    throw error;
  } finally {
    clearTimeout(timer);
  }
  counters = shared;
  count = threads - 1;
}

/**
 * A helper's life. Nothing ends it but its worker's end.
 * @param {Int32Array} shared counters @param {number} slot which helper it is, from 1 on
 * @param {(slot: number) => void} help the program's
 */
export function serve(shared, slot, help) {
  counters = shared;
  let last = 0;
  for (;;) {
    for (let look = 0; look < LOOKS && Atomics.load(counters, CALL) === last; look += 1);
    Atomics.wait(counters, CALL, last);
    const call = Atomics.load(counters, CALL);
    if (call === last) continue;
    last = call;
    if (slot > (call & ((1 << COUNT_BITS) - 1))) continue;
    try {
      help(slot);
    } catch (error) {
      console.error(error);
      Atomics.store(counters, FAILED, 1);
    }
    if (Atomics.sub(counters, BUSY, 1) === 1) Atomics.notify(counters, BUSY);
  }
}

/** How many helpers wait for work. */
export const helpers = () => count;

/** Calls the first `called` helpers to a task. */
export function begin(called) {
  Atomics.store(counters, NEXT, 0);
  Atomics.store(counters, BUSY, called);
  const number = (Atomics.load(counters, CALL) >> COUNT_BITS) + 1;
  // The number wraps around; two calls in a row still differ.
  Atomics.store(counters, CALL, (number << COUNT_BITS) | called);
  Atomics.notify(counters, CALL);
}

/** The next piece that nobody has taken. */
export const claim = () => Atomics.add(counters, NEXT, 1);

/** Waits until all helpers that were called have left the task. */
export function end() {
  for (let look = 0; look < LOOKS && Atomics.load(counters, BUSY) > 0; look += 1);
  for (let busy; (busy = Atomics.load(counters, BUSY)) > 0; ) Atomics.wait(counters, BUSY, busy);
  if (Atomics.load(counters, FAILED)) throw new WebAssembly.RuntimeError("a helper stopped");
}
