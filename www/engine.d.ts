/** Segmentation without a user interface. */

/** An error with a message for people and a code for scripts. */
export class RrsisError extends Error {
  readonly name: "RrsisError";
  readonly code: "image" | "expression" | "manifest" | "shard" | "device" | "memory" | "options" | "internal";
  constructor(code: RrsisError["code"], message: string);
}

export type Device = "webgpu" | "cpu";
export type DeviceChoice = "auto" | Device;
export type Precision = "int8" | "f32";
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
  /** Foreground minus background logit at the network's own resolution, row-major: what it said itself. */
  margin: { width: number; height: number; data: Float32Array };
  /**
   * The same of every pixel, `width * height`, in steps of 6 / 127: the probability of a pixel is the
   * sigmoid of its margin. What lies beyond -127 and 127 is as good as certain; -127 is in no mask.
   */
  pixelMargins: Int8Array;
  /** The probability above which a pixel was taken. */
  threshold: number;
  /** 1 a pixel that holds a measurement, where some of the image does not (`nodata` of a GeoTIFF). */
  measured?: Uint8Array;
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
  /**
   * How a CPU multiplies: weights and activations in 7 bits ("int8", the default), or in 32
   * ("f32"), which is slower and a little more exact. WebGPU computes in 32 bits in any case.
   */
  precision?: Precision;
  /**
   * At most so many threads compute on a CPU. Default: as many as the machine runs at once, up to 8, in a
   * page that is cross-origin isolated. Any other has one for an image, and up to 4 for the tiles of a large one.
   */
  threads?: number;
  /** Side to which the image is resized for the network: a multiple of 32 from 64 to 1024. */
  resolution?: number;
}

export interface ImagePreview {
  bitmap: ImageBitmap;
  /** The image's own size. */
  width: number;
  height: number;
  /** Metres a pixel, where the file tells. */
  gsd?: number;
  /** Code of the coordinate system at EPSG, where the file tells. */
  epsg?: number;
}

export interface GeoJsonOptions {
  /** A GeoTIFF gives the coordinates its system; else they are pixels from the upper left corner. */
  image?: Blob;
  /** Metres a pixel: regions then have an `area_m2`. */
  gsd?: number;
  /** Pixels by which outlines may leave the edges of the pixels, to have fewer corners. Default: 1. */
  tolerance?: number;
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
  /** The mask of a result at another threshold, without another run of the network. */
  maskAt(result: SegmentResult, threshold: number, options?: { signal?: AbortSignal }): Promise<Uint8Array>;
  /** Decodes an image, such as a GeoTIFF, that the browser cannot show; `most`: pixels a side of the bitmap (2048). */
  preview(image: Blob, options?: { most?: number; signal?: AbortSignal }): Promise<ImagePreview>;
  /** Number of connected regions; pixels that share an edge are connected. */
  countRegions(result: Pick<SegmentResult, "mask" | "width" | "height">): Promise<number>;
  /** Outlines of masks of one image as the text of a GeoJSON file. */
  toGeoJson(
    found: (Pick<SegmentResult, "mask" | "width" | "height"> & { expression: string })[],
    options?: GeoJsonOptions,
  ): Promise<string>;
  /** A mask as a GeoTIFF file at the place of a GeoTIFF image. */
  toGeoTiff(result: Pick<SegmentResult, "mask" | "width" | "height">, image: Blob): Promise<Uint8Array>;
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
