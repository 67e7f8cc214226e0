// The segmenter without a user interface: one worker and one copy of the weights for everybody on
// the page who names the same model and device.

const DEFAULT_MODEL = new URL('./models/rrsis-small/', import.meta.url).href;

/** Errors of the segmenter: `code` is for scripts, `message` for people. */
export class RrsisError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'RrsisError';
    this.code = code;
  }
}

/** @type {Map<string, Engine>} */
const engines = new Map();

/**
 * A segmenter for a model directory.
 *
 * @param {{ model?: string, device?: 'auto' | 'webgpu' | 'cpu' }} [options]
 */
export function createSegmenter({ model = DEFAULT_MODEL, device = 'auto' } = {}) {
  const base = new URL(model.endsWith('/') ? model : `${model}/`, document.baseURI).href;
  const key = `${device} ${base}`;
  if (!engines.has(key)) engines.set(key, new Engine(base, device));
  return engines.get(key);
}

class Engine {
  #worker;
  #base;
  #wanted;
  #nextId = 1;
  #waiting = new Map();
  #listeners = new Set();

  /** 'webgpu' or 'cpu' once it is known. */
  device;
  /** Why the device is not WebGPU, where it was free to choose. */
  fallback;

  constructor(base, device) {
    this.#base = base;
    this.#wanted = device;
  }

  /** Calls `listener` with every progress message; gives a function that stops it. */
  onProgress(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Loads parts of the model: 'text' and 'vision' (both where nothing is named).
   *
   * @param {{ parts?: string[], signal?: AbortSignal }} [options]
   */
  async load({ parts = ['text', 'vision'], signal } = {}) {
    const wanted = parts.includes('text') ? ['tokenizer', ...parts] : parts;
    const { device, fallback } = await this.#ask({ type: 'load', parts: wanted }, [], signal);
    Object.assign(this, { device, fallback });
  }

  /**
   * The mask of what an expression refers to, at the image's own size.
   *
   * @param {Blob | ImageBitmap | HTMLImageElement | string} image a string is a URL
   * @param {string} expression
   * @param {{ signal?: AbortSignal, threshold?: number, resolution?: number }} [options]
   */
  async segment(image, expression, { signal, threshold, resolution } = {}) {
    signal?.throwIfAborted();
    const message = { type: 'segment', expression: String(expression), threshold, resolution };
    let answer;
    const source = await readImage(image, signal);
    try {
      answer = await this.#ask({ ...message, image: source }, [source.rgba ?? source.encoded], signal);
    } catch (error) {
      // Formats that browsers read and the segmenter does not (AVIF, for one).
      if (error.code !== 'image' || !(image instanceof Blob)) throw error;
      const pixels = await pixelsOf(image).catch(() => undefined);
      if (!pixels || (await alreadyKnown(image))) throw error;
      answer = await this.#ask({ ...message, image: pixels }, [pixels.rgba], signal);
    }
    this.device = answer.device;
    this.fallback = answer.fallback;
    return answer;
  }

  #ask(message, transfer, signal) {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const id = this.#nextId++;
    const worker = this.#start();
    return new Promise((resolve, reject) => {
      const settle = (action) => (value) => {
        signal?.removeEventListener('abort', abort);
        this.#waiting.delete(id);
        action(value);
      };
      const abort = () => {
        worker.postMessage({ type: 'cancel', id });
        settle(reject)(signal.reason);
      };
      signal?.addEventListener('abort', abort);
      this.#waiting.set(id, { resolve: settle(resolve), reject: settle(reject) });
      worker.postMessage({ ...message, id }, transfer);
    });
  }

  #start() {
    if (this.#worker) return this.#worker;
    const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
    worker.addEventListener('message', ({ data }) => this.#receive(data));
    worker.addEventListener('error', (event) => {
      event.preventDefault();
      this.#abandon(new RrsisError('internal', `The segmenter could not be started: ${event.message || 'its worker script failed to load'}.`));
    });
    worker.postMessage({ type: 'open', model: this.#base, device: this.#wanted });
    this.#worker = worker;
    return worker;
  }

  #receive(data) {
    if (data.type === 'progress') {
      const { type, ...progress } = data;
      for (const listener of this.#listeners) listener(progress);
      return;
    }
    // No entry: the caller has given up.
    const caller = this.#waiting.get(data.id);
    if (data.error) {
      const error = new RrsisError(data.error.code, data.error.message);
      caller?.reject(error);
      // After a trap the module's memory cannot be trusted: the next request gets a new worker.
      if (data.error.fatal) this.#abandon(error);
    } else {
      caller?.resolve(data.result);
    }
  }

  #abandon(error) {
    this.#worker?.terminate();
    this.#worker = undefined;
    for (const caller of [...this.#waiting.values()]) caller.reject(error);
  }
}

/** What the worker needs of an image: encoded bytes where there are any, else pixels. */
async function readImage(image, signal) {
  if (typeof image === 'string' || image instanceof URL) {
    return { encoded: await fetchImage(String(image), signal) };
  }
  if (image instanceof Blob) return { encoded: await image.arrayBuffer() };
  return pixelsOf(image);
}

async function fetchImage(address, signal) {
  const url = new URL(address, document.baseURI);
  let response;
  try {
    response = await fetch(url, { signal });
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw new RrsisError(
      'image',
      `${url.href} could not be read. Its host may not allow other pages to use its images (CORS): save the image and drop it here instead.`,
    );
  }
  if (!response.ok) {
    throw new RrsisError('image', `${url.href} could not be loaded: the server answered ${response.status}.`);
  }
  return response.arrayBuffer();
}

/** RGBA pixels of anything that a canvas can draw. */
async function pixelsOf(image) {
  if (image instanceof HTMLImageElement) await image.decode();
  const bitmap = image instanceof ImageBitmap ? image : await createImageBitmap(image);
  const { width, height } = bitmap;
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  try {
    return { width, height, rgba: context.getImageData(0, 0, width, height).data.buffer };
  } catch {
    throw new RrsisError('image', 'The pixels of this image may not be read, because it comes from another host (CORS).');
  }
}

/** Whether a file is of a format that the segmenter reads itself, so that its verdict stands. */
async function alreadyKnown(blob) {
  const head = new Uint8Array(await blob.slice(0, 12).arrayBuffer());
  const text = String.fromCharCode(...head);
  return (
    text.startsWith('\x89PNG') ||
    text.startsWith('\xff\xd8\xff') ||
    text.startsWith('GIF8') ||
    text.startsWith('BM') ||
    text.startsWith('II*\0') ||
    text.startsWith('MM\0*') ||
    (text.startsWith('RIFF') && text.slice(8) === 'WEBP')
  );
}
