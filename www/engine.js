/**
 * Segmentation without a user interface: what <rrsis-segment> itself uses.
 *
 *     import { createSegmenter } from "./engine.js";
 *     const segmenter = createSegmenter({ model: "models/rrsis-small/" });
 *     const { width, height, mask } = await segmenter.segment(file, "building");
 */
import { abortReason, asRrsisError, EMPTY_EXPRESSION, RrsisError } from "./lib/errors.js";
import { acquireHost } from "./lib/host.js";
import { fetchImage, workerInput } from "./lib/image-input.js";

export { RrsisError };

/** Where the model lies that comes with this package. */
export const DEFAULT_MODEL = new URL("./models/rrsis-small/", import.meta.url).href;

const DEVICES = ["auto", "webgpu", "cpu"];
const PRECISIONS = ["f32", "int8"];
const MOST_THREADS = 64;

/** Every part of a model. */
export const ALL_PARTS = ["tokenizer", "text", "vision"];

/**
 * Nothing is downloaded before `load` or `segment`. Segmenters that name the same model, device,
 * precision and threads share one worker and one copy of the weights.
 *
 * @param {{model?: string | URL, device?: "auto" | "webgpu" | "cpu", precision?: "f32" | "int8", threads?: number, resolution?: number}} [options]
 *   `precision`: how a CPU multiplies; "int8" (default) is faster than "f32", and a little less exact
 *   `threads`: at most so many compute on a CPU; in pages that are not cross-origin isolated, more than one only for large images
 */
export function createSegmenter(options) {
  return new Segmenter(options);
}

/** Fires `progress` events while it works; see rrsis-segment.d.ts. */
export class Segmenter extends EventTarget {
  #host;
  #resolution;

  /** "webgpu" or "cpu" once it is known. */
  device;
  /** Why it is not WebGPU, where the choice was open. */
  fallback;
  /** Whether all parts of the model are there. */
  complete = false;

  constructor({ model = DEFAULT_MODEL, device = "auto", precision = "int8", threads, resolution } = {}) {
    super();
    if (!DEVICES.includes(device)) {
      throw new RrsisError("options", `device is "${device}", but must be ${DEVICES.map((d) => `"${d}"`).join(", ")}.`);
    }
    if (!PRECISIONS.includes(precision)) {
      throw new RrsisError("options", `precision is "${precision}", but must be "f32" or "int8".`);
    }
    if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= MOST_THREADS)) {
      throw new RrsisError("options", `threads is "${threads}", but must be a whole number from 1 to ${MOST_THREADS}.`);
    }
    this.#resolution = resolution;
    this.#host = acquireHost({ model: folder(model), device, precision, threads });
  }

  /**
   * Loads the model or parts of it.
   * @param {{parts?: ("tokenizer" | "text" | "vision")[], signal?: AbortSignal}} [options]
   * @returns {Promise<void>}
   */
  async load({ parts = ALL_PARTS, signal } = {}) {
    await this.#call({ type: "load", parts, resolution: this.#resolution }, signal);
  }

  /**
   * The mask of what the expression refers to.
   *
   * @param {Blob | ImageBitmap | HTMLImageElement | string} image a string is a URL
   * @param {string} expression
   * @param {{signal?: AbortSignal, threshold?: number, resolution?: number}} [options]
   * @returns {Promise<import("./engine.js").SegmentResult>}
   */
  async segment(image, expression, { signal, threshold, resolution = this.#resolution } = {}) {
    // Told before anything is downloaded; all else is judged by the program.
    if (typeof expression !== "string" || !expression.trim()) throw new RrsisError("expression", EMPTY_EXPRESSION);
    if (image instanceof Blob && image.size === 0) {
      throw new RrsisError("image", "The image file is empty (0 bytes). Choose the file again, or save it anew.");
    }
    const start = performance.now();
    signal?.throwIfAborted();
    const input = await abortable(
      (async () => workerInput(typeof image === "string" ? await fetchImage(image, signal) : image))(),
      signal,
    );
    const result = await this.#call({ type: "segment", input, expression, threshold, resolution }, signal);
    const { timings, fallback, ...rest } = result;
    return { ...rest, timings: { ...timings, total_ms: performance.now() - start } };
  }

  /**
   * The mask of a result at another threshold, without another run of the network.
   * @param {import("./engine.js").SegmentResult} result
   * @param {number} threshold between 0 and 1
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<Uint8Array>}
   */
  maskAt({ pixelMargins }, threshold, { signal } = {}) {
    return this.#tool("maskAt", { pixelMargins, threshold }, signal);
  }

  /**
   * Decodes an image, such as a GeoTIFF, that the browser cannot show.
   * @param {Blob} image
   * @param {{most?: number, signal?: AbortSignal}} [options] `most`: pixels a side of the bitmap
   * @returns {Promise<{bitmap: ImageBitmap, width: number, height: number, gsd?: number, epsg?: number}>}
   */
  async preview(image, { most = 2048, signal } = {}) {
    return this.#tool("preview", { image, most }, signal);
  }

  /**
   * Number of connected regions; pixels that share an edge are connected.
   * @param {{mask: Uint8Array, width: number, height: number}} result
   * @returns {Promise<number>}
   */
  countRegions({ mask, width, height }) {
    return this.#tool("countRegions", { mask, width, height });
  }

  /**
   * Outlines of masks of one image as the text of a GeoJSON file.
   * @param {{expression: string, mask: Uint8Array, width: number, height: number}[]} found
   * @param {{image?: Blob, gsd?: number, tolerance?: number}} [options] `image`: a GeoTIFF gives the
   *   coordinates their system; `gsd`: metres a pixel; `tolerance`: pixels
   * @returns {Promise<string>}
   */
  async toGeoJson(found, { image, gsd, tolerance = 1 } = {}) {
    const features = found.map(({ expression, mask, width, height }) => ({ expression, mask, width, height, gsd }));
    return this.#tool("geoJson", { features, image, tolerance });
  }

  /**
   * A mask as a GeoTIFF file at the place of a GeoTIFF image.
   * @param {{mask: Uint8Array, width: number, height: number}} result
   * @param {Blob} image
   * @returns {Promise<Uint8Array>}
   */
  async toGeoTiff({ mask, width, height }, image) {
    return this.#tool("geoTiff", { mask, width, height, image });
  }

  /** Gives the worker back; it ends when nobody uses it any more. */
  close() {
    this.#host?.release();
    this.#host = undefined;
  }

  #tool(tool, input, signal) {
    return this.#call({ type: "tool", tool, input }, signal);
  }

  async #call(message, signal) {
    if (!this.#host) throw new RrsisError("internal", "This segmenter has been closed.");
    try {
      const value = await this.#host.call(message, {
        signal,
        onProgress: (progress, info) => {
          if (info) this.#note(info);
          this.dispatchEvent(new CustomEvent("progress", { detail: progress }));
        },
      });
      if (message.type !== "tool") this.#note(value);
      return value;
    } catch (error) {
      // Cancelled calls keep the reason that the caller gave.
      if (signal?.aborted) throw error;
      throw asRrsisError(error);
    }
  }

  #note({ device, fallback, complete }) {
    this.device = device ?? this.device;
    if (complete !== undefined) {
      this.complete = complete;
      this.fallback = fallback;
    }
  }
}

/** Rejects as soon as the signal aborts, whatever the promise does. */
function abortable(promise, signal) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(abortReason(signal));
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** The absolute URL of a model's folder, with a slash at its end. */
function folder(model) {
  let url;
  try {
    url = new URL(model, document.baseURI);
  } catch {
    throw new RrsisError("options", `"${model}" is not the address of a model.`);
  }
  url.pathname = url.pathname.replace(/\/?(manifest\.json)?$/, "/");
  return url.href;
}
