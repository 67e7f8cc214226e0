/** Segmentation without a user interface. */

/** An error with a message for people and a code for scripts. */
export class RrsisError extends Error {
  readonly name: "RrsisError";
  readonly code: "image" | "expression" | "manifest" | "shard" | "device" | "options" | "internal";
  constructor(code: RrsisError["code"], message: string);
}

export type Device = "webgpu" | "cpu";
export type DeviceChoice = "auto" | Device;
export type Part = "tokenizer" | "text" | "vision";

/** What is going on. Bytes are summed over all files of the model and the program. */
export type Progress =
  | { stage: "download"; file: string; loaded: number; total: number }
  | { stage: "compiling" }
  /** A large image is computed in tiles: how many are done, and how many there are. */
  | { stage: "running"; tile?: number; tiles?: number };

export interface Timings {
  /** Resizing and normalising the image. */
  preprocess_ms: number;
  /** Language encoder. */
  text_ms: number;
  /** Image encoder, fusion and decoder. */
  vision_ms: number;
  /** From the network's output to the mask. */
  postprocess_ms: number;
  /** From the call to its result, with whatever had to be loaded first. */
  total_ms: number;
}

export interface SegmentResult {
  /** The image's own size. */
  width: number;
  height: number;
  /** 0 or 1 a pixel, row-major: `width * height`. */
  mask: Uint8Array;
  /** Where the network ran. */
  device: Device;
  /** Whether the expression was longer than the network reads. */
  truncated: boolean;
  timings: Timings;
}

/** A string is a URL, relative to the page. */
export type ImageSource = Blob | ImageBitmap | HTMLImageElement | string;

export interface SegmentOptions {
  /** Rejects at once with the signal's reason (an `AbortError` by default). */
  signal?: AbortSignal;
  /** A pixel is foreground where its probability exceeds this; default: the model's own. */
  threshold?: number;
}

export interface SegmenterOptions {
  /** Folder of the model: the one with `manifest.json`. Default: the model of this package. */
  model?: string | URL;
  /** "auto" (default): WebGPU where it can be used, else the CPU. */
  device?: DeviceChoice;
  /** Side to which the image is resized for the network: a multiple of 32 from 64 to 1024. */
  resolution?: number;
}

export class Segmenter extends EventTarget {
  constructor(options?: SegmenterOptions);
  /** Known once the program has been loaded. */
  readonly device: Device | undefined;
  /** Why it is not WebGPU, where the choice was open. */
  readonly fallback: string | undefined;
  /** Whether all parts of the model are there. */
  readonly complete: boolean;
  load(options?: { parts?: Part[]; signal?: AbortSignal }): Promise<void>;
  segment(
    image: ImageSource,
    expression: string,
    options?: SegmentOptions & { resolution?: number },
  ): Promise<SegmentResult>;
  /** Gives the worker back; it ends when nobody uses it any more. */
  close(): void;
  addEventListener(
    type: "progress",
    listener: (event: CustomEvent<Progress>) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener(
    type: "progress",
    listener: (event: CustomEvent<Progress>) => void,
    options?: boolean | EventListenerOptions,
  ): void;
}

/** Segmenters that name the same model and device share one worker and one copy of the weights. */
export function createSegmenter(options?: SegmenterOptions): Segmenter;

/** Where the model lies that comes with this package. */
export const DEFAULT_MODEL: string;
/** Every part of a model. */
export const ALL_PARTS: readonly Part[];
