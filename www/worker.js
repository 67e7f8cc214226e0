// Module worker: fetches the model, feeds the WebAssembly segmenter, answers the page.
//
// One worker serves one model on one device, whoever asks. Requests run one after the other: the
// segmenter is a single object, and two runs at once would only slow each other down.

import init, { Segmenter } from './pkg/rrsis.js';
import { ModelFiles } from './model-files.js';

/** Parts of the model in the order in which the network needs them. */
const PARTS = ['tokenizer', 'text', 'vision'];

/** @type {ModelFiles} */
let files;
/** @type {string} */
let wantedDevice;
/** @type {Promise<Segmenter> | undefined} */
let opening;
/** @type {Promise<unknown>} */
let queue = Promise.resolve();
/** Ids of requests whose caller has given up. */
const cancelled = new Set();
const warmedUp = new Set();

self.addEventListener('message', ({ data }) => {
  switch (data.type) {
    case 'open':
      wantedDevice = data.device;
      files = new ModelFiles(new URL(data.model), (progress) => self.postMessage({ type: 'progress', ...progress }));
      break;
    case 'cancel':
      cancelled.add(data.id);
      break;
    default:
      queue = queue.then(() => answer(data));
  }
});

async function answer(request) {
  const { id } = request;
  try {
    if (cancelled.has(id)) return;
    const { result, transfer } = request.type === 'load' ? await load(request) : await segment(request);
    if (!cancelled.has(id)) self.postMessage({ type: 'answer', id, result }, transfer ?? []);
  } catch (error) {
    self.postMessage({ type: 'answer', id, error: plainError(error) });
  } finally {
    cancelled.delete(id);
  }
}

/** Loads the asked parts; opens the device first. */
async function load({ parts }) {
  const segmenter = await open(parts);
  return { result: { device: segmenter.device, fallback: segmenter.fallback } };
}

async function segment({ image, expression, threshold, resolution }) {
  const segmenter = await open(PARTS);
  if (!warmedUp.has(resolution)) {
    if (segmenter.device !== 'cpu') stage('compiling');
    await segmenter.warm_up(resolution);
    warmedUp.add(resolution);
  }
  stage('running');
  const segmentation = image.rgba
    ? await segmenter.segment_rgba(image.width, image.height, new Uint8Array(image.rgba), expression, threshold, resolution)
    : await segmenter.segment(new Uint8Array(image.encoded), expression, threshold, resolution);
  try {
    const mask = segmentation.take_mask();
    const { width, height, truncated, timings } = segmentation;
    return {
      result: { width, height, mask, truncated, timings, device: segmenter.device, fallback: segmenter.fallback },
      transfer: [mask.buffer],
    };
  } finally {
    segmentation.free();
  }
}

/** The segmenter with (at least) the asked parts in it. */
async function open(parts) {
  // A failed start may have been the network's fault: the next request tries again.
  opening ??= start().catch((error) => {
    opening = undefined;
    throw error;
  });
  // The files of the asked parts are on their way while the module compiles.
  const missing = async (segmenter) => parts.filter((part) => !segmenter?.is_loaded(part));
  files.expect(await missing(await peek()));
  const segmenter = await opening;
  for (const part of await missing(segmenter)) {
    const { file, content } = await files.take(part);
    stage('loading');
    await loadVerified(segmenter, part, file, content);
  }
  return segmenter;
}

/** The segmenter if it is there already, without waiting for it. */
async function peek() {
  return Promise.race([opening, Promise.resolve(undefined)]).catch(() => undefined);
}

async function start() {
  const module = files.fetchModule(new URL('./pkg/rrsis_bg.wasm', import.meta.url));
  const manifest = await files.manifest();
  await init({ module_or_path: await module });
  return Segmenter.open(manifest, wantedDevice);
}

/** A cached file that fails its check is fetched once more before anybody is bothered. */
async function loadVerified(segmenter, part, file, content) {
  try {
    await segmenter.load(file, content);
    await files.keep(part, content);
  } catch (error) {
    if (!(await files.forget(part))) throw error;
    const again = await files.take(part);
    await segmenter.load(file, again.content);
    await files.keep(part, again.content);
  }
}

function stage(name) {
  self.postMessage({ type: 'progress', stage: name });
}

function plainError(error) {
  if (error instanceof WebAssembly.RuntimeError || error instanceof RangeError) {
    return {
      code: 'internal',
      message: `The segmenter stopped unexpectedly (${error.message}). Reload the page; a smaller image or the device "cpu" may work.`,
      fatal: true,
    };
  }
  return { code: error?.code ?? 'internal', message: String(error?.message ?? error) };
}
