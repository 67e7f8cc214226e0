/**
 * Runs one model on one device, away from the page's thread.
 *
 * In:  {type: "open", model, device, precision, threads, lifeline} once, first; lifeline: name of a lock to hold
 *      {type: "load", id, parts, resolution}              parts: "tokenizer" | "text" | "vision"
 *      {type: "segment", id, input, expression, threshold, resolution}
 *      {type: "tile", id, side, rgb, expression}          the margins of a tile of another worker's image
 *      {type: "tool", id, tool, input}                    see lib/tools.js
 *      {type: "cancel", id}
 * Out: {type: "progress", id?, progress}                  without id: to whoever is waiting
 *      {type: "device", device}                          which one was chosen, before it is opened
 *      {type: "done", id, value}
 *      {type: "failed", id?, error: {code, message}, fatal}   fatal: this worker cannot go on
 *      {type: "alive"}                                    the lifeline is held
 */
import { asRrsisError, abortReason, RrsisError } from "./lib/errors.js";
import { downloadExactly, request } from "./lib/download.js";
import { explained, holdLifeline, watchGraphics, watchMemory, watchTraps, withLoss } from "./lib/failures.js";
import { tellWhatWasFetched } from "./lib/fetched.js";
import { chooseProgram, loadProgram, ProgramError } from "./lib/program.js";
import { Crew, helpersFor, Shift } from "./lib/crew.js";
import { cached, forget, keep } from "./lib/shard-cache.js";
import { readManifest } from "./lib/manifest.js";
import { Ledger } from "./lib/progress.js";
import { SharedTask } from "./lib/shared-task.js";
import { bytesOf, rgbaOf } from "./lib/pixels.js";
import { TOOLS } from "./lib/tools.js";

/** @type {{model: string, device: string, precision: string, threads?: number}} */
let config;
/** Running jobs by id. */
const jobs = new Map();
let downloads = 0;
const ledger = new Ledger((progress) => post({ type: "progress", progress }));

self.addEventListener("message", ({ data }) => {
  switch (data.type) {
    case "open":
      config = data;
      holdLifeline(data.lifeline, () => post({ type: "alive" }));
      break;
    case "load":
      run(data.id, (signal) => prepare(data.parts, data.resolution, signal));
      break;
    case "segment":
      run(data.id, (signal) => segment(data, signal));
      break;
    case "tile":
      run(data.id, (signal) => tile(data, signal));
      break;
    case "tool":
      run(data.id, async (signal) => TOOLS[data.tool](await program.join(signal), data.input));
      break;
    case "cancel":
      jobs.get(data.id)?.abort();
      break;
  }
});

/**
 * @param {number} id
 * @param {(signal: AbortSignal) => Promise<{value: unknown, transfer?: Transferable[]}>} work
 */
async function run(id, work) {
  const controller = new AbortController();
  jobs.set(id, controller);
  try {
    const { value, transfer = [] } = await work(controller.signal);
    // Nobody waits for the answer of a cancelled job.
    if (!controller.signal.aborted) post({ type: "done", id, value }, transfer);
  } catch (failure) {
    const error = await withLoss(failure);
    if (controller.signal.aborted) return;
    fail(error, id);
  } finally {
    jobs.delete(id);
  }
}

/** @param {unknown} error @param {number} [id] of the job that failed; without it all of them did */
function fail(error, id) {
  const { code, message } = error instanceof WebAssembly.RuntimeError ? explained(error) : asRrsisError(error);
  post({ type: "failed", id, error: { code, message }, fatal: isFatal(error, code) });
}

watchTraps((error) => fail(error, running));
watchGraphics((error) => fail(error));

/** After a trap, a lost device or half a program, only a new worker helps. */
function isFatal(error, code) {
  return (
    error instanceof WebAssembly.RuntimeError ||
    error instanceof ProgramError ||
    code === "device" ||
    code === "memory" ||
    code === "internal"
  );
}

/** Runs one piece of work after the other. */
function queue() {
  let last = Promise.resolve();
  return (work) => {
    const result = last.then(work);
    last = result.then(
      () => {},
      () => {},
    );
    return result;
  };
}
// One file of the model at a time, beside the program: in the order in which the network needs them,
// each is built while the next one arrives.
const inOrder = queue();
// One call into the program at a time: loading needs it exclusively.
const oneAtATime = queue();
/** The segmentation that is in the program. @type {number | undefined} */
let running;
function exclusively(work) {
  return oneAtATime(() => {
    running = undefined;
    return work();
  });
}

const manifest = new SharedTask(async (signal) => {
  const url = new URL("manifest.json", config.model);
  const response = await request(url, { signal, code: "manifest", what: "model's manifest" });
  const { text, files } = await readManifest(response, url);
  ledger.expect(files);
  return { text, files };
});

/** Which module of the program, and so which device. */
const choice = new SharedTask(async () => {
  const chosen = await chooseProgram(config.device, config.threads);
  post({ type: "device", device: chosen.device });
  return chosen;
});

/** Who computes tiles of large images, too. @type {Crew | undefined} */
let crew;

const program = new SharedTask(async (signal) => {
  const chosen = await choice.join(signal);
  downloads += 1;
  try {
    const onBytes = (file, loaded, total) => ledger.update(file, loaded, total);
    const { module, memory, threads } = await loadProgram(chosen, { signal, onBytes });
    const helpers = chosen.device === "cpu" && threads === 1 ? helpersFor(config.threads) : 0;
    if (helpers > 0) crew = new Crew({ model: config.model, precision: config.precision }, helpers);
    watchMemory(memory);
    tellWhatWasFetched();
    return module;
  } finally {
    downloads -= 1;
  }
});

const segmenter = new SharedTask(async (signal) => {
  const { device, noGpu } = await choice.join(signal);
  if (noGpu && config.device === "webgpu") {
    throw new RrsisError("device", `No GPU can be used: ${noGpu}. Choose the device "cpu" instead.`);
  }
  const [{ text }, module] = await Promise.all([manifest.join(signal), program.join(signal)]);
  return module.Segmenter.open(text, device, config.precision, config.threads);
});

/** @type {Map<string, SharedTask<void>>} by file */
const parts = new Map();
function part(entry) {
  let task = parts.get(entry.file);
  if (!task) parts.set(entry.file, (task = new SharedTask((signal) => loadPart(entry, signal))));
  return task;
}

async function loadPart(entry, signal) {
  const [content, target] = await Promise.all([download(entry, signal), segmenter.join(signal)]);
  try {
    await build(target, entry, content.bytes);
  } catch (error) {
    if (!content.fromCache) throw error;
    // What was kept is damaged: fetch it anew, once.
    await forget(entry.sha256);
    const fresh = await download(entry, signal, { useCache: false });
    await build(target, entry, fresh.bytes);
    content.fromCache = false;
    content.bytes = fresh.bytes;
  }
  const kept = content.fromCache ? Promise.resolve() : keep(entry.sha256, content.bytes);
  void kept.then(() => release(content.bytes));
}

/**
 * Gives memory back at once where the browser can: the program has its own copy, and it may be long until somebody
 * notices that this one is nobody's.
 *
 * @param {Uint8Array} bytes
 */
function release(bytes) {
  bytes.buffer.transfer?.(0);
}

function build(target, entry, bytes) {
  return exclusively(async () => {
    if (downloads === 0) post({ type: "progress", progress: { stage: "compiling" } });
    try {
      await target.load(entry.file, bytes);
    } catch (error) {
      // The program knows the file's name only; say which one of the world's.
      const { code, message } = asRrsisError(error, "shard");
      if (error instanceof WebAssembly.RuntimeError) throw error;
      throw new RrsisError(code, `${message} (${new URL(entry.file, config.model)})`);
    }
  });
}

async function download({ file, bytes, sha256 }, signal, { useCache = true } = {}) {
  const kept = useCache ? await cached(sha256, bytes) : undefined;
  if (kept) {
    ledger.update(file, bytes);
    return { bytes: kept, fromCache: true };
  }
  const url = new URL(file, config.model);
  downloads += 1;
  try {
    const onBytes = (loaded) => ledger.update(file, loaded);
    onBytes(0);
    const content = await inOrder(() => {
      signal.throwIfAborted();
      return downloadExactly(url, { bytes, signal, onBytes });
    });
    return { bytes: content, fromCache: false };
  } catch (error) {
    ledger.update(file, 0);
    throw error;
  } finally {
    downloads -= 1;
  }
}

/** Dry runs by resolution. @type {Map<number | undefined, SharedTask<void>>} */
const warm = new Map();
function warmUp(resolution) {
  let task = warm.get(resolution);
  if (!task) {
    task = new SharedTask(async (signal) => {
      const target = await segmenter.join(signal);
      await exclusively(async () => {
        if (signal.aborted) throw abortReason(signal);
        post({ type: "progress", progress: { stage: "compiling" } });
        await target.warm_up(resolution);
      });
    });
    warm.set(resolution, task);
  }
  return task;
}

/** Loads parts of the model, and compiles for the device when it is complete. */
async function prepare(wanted, resolution, signal) {
  ledger.emit();
  // All that can be fetched is fetched side by side.
  const opening = segmenter.join(signal);
  opening.catch(() => {});
  const { files } = await manifest.join(signal);
  await Promise.all([
    opening,
    ...files.filter((entry) => wanted.includes(entry.part)).map((entry) => part(entry).join(signal)),
  ]);
  const target = await opening;
  const complete = files.every((entry) => part(entry).finished);
  if (complete) await warmUp(resolution).join(signal);
  const { noGpu } = await choice.join(signal);
  return { value: { device: target.device, fallback: noGpu, complete } };
}

async function segment({ id, input, expression, threshold, resolution }, signal) {
  const { value } = await prepare(["tokenizer", "text", "vision"], resolution, signal);
  const target = await segmenter.join(signal);
  const { files } = await manifest.join(signal);
  return exclusively(async () => {
    if (signal.aborted) throw abortReason(signal);
    running = id;
    // With the device: the page can say where the network runs before it has finished.
    post({ type: "progress", id, progress: { stage: "running" }, info: value });
    // Large images come in tiles; between two of them messages arrive, such as "cancel".
    const onTile = async (tile, tiles) => {
      post({ type: "progress", id, progress: { stage: "running", tile, tiles } });
      await new Promise((resolve) => setTimeout(resolve));
      return !signal.aborted;
    };
    const shift = crew && new Shift(crew, { expression, files, signal });
    let result;
    try {
      result = await ask(target, input, [expression, threshold, resolution, onTile, shift]);
    } finally {
      shift?.end();
    }
    const margin = { width: result.margin_width, height: result.margin_height, data: result.take_margin() };
    const pixelMargins = result.pixel_margins;
    const mask = result.take_mask();
    const measured = result.take_measured();
    const { width, height, truncated, timings } = result;
    const found = { width, height, mask, margin, pixelMargins, threshold: result.threshold, measured, truncated, timings };
    result.free();
    return {
      value: { ...found, device: value.device },
      transfer: [mask.buffer, margin.data.buffer, pixelMargins.buffer, ...(measured ? [measured.buffer] : [])],
    };
  });
}

async function ask(target, input, options) {
  if (!input.bitmap) return target.segment(await bytesOf(input.blob), ...options);
  const { width, height, rgba } = rgbaOf(input.bitmap);
  return target.segment_rgba(width, height, rgba, ...options);
}

/** What the network says of a tile of an image that another worker has (lib/crew.js). */
async function tile({ side, rgb, expression }, signal) {
  await prepare(["tokenizer", "text", "vision"], undefined, signal);
  const target = await segmenter.join(signal);
  return exclusively(async () => {
    if (signal.aborted) throw abortReason(signal);
    const value = await target.margin(side, rgb, expression);
    return { value, transfer: [value.buffer] };
  });
}

function post(message, transfer = []) {
  self.postMessage(message, { transfer });
}
