/** The network's result for one image and one expression. */
export interface RrsisResult {
  /** Columns of the mask: the image's own width. */
  width: number;
  /** Rows of the mask: the image's own height. */
  height: number;
  /** 0 or 1 for every pixel, row-major. */
  mask: Uint8Array;
  /** The device that computed it. */
  device: 'webgpu' | 'cpu';
  /** Why the device is not WebGPU, where it was free to choose. */
  fallback?: string;
  /** The expression was longer than the network reads; its end was ignored. */
  truncated: boolean;
  /** Milliseconds spent in each step. */
  timings: RrsisTimings;
}

export interface RrsisTimings {
  preprocess_ms: number;
  text_ms: number;
  vision_ms: number;
  postprocess_ms: number;
}

/** What is going on; `loaded` and `total` are bytes of all files asked for so far. */
export type RrsisProgress =
  | { stage: 'download'; file: string; loaded: number; total: number }
  | { stage: 'loading' | 'compiling' | 'running' };

export type RrsisErrorCode =
  | 'image'
  | 'expression'
  | 'manifest'
  | 'shard'
  | 'device'
  | 'options'
  | 'internal';

export class RrsisError extends Error {
  readonly code: RrsisErrorCode;
}

export type RrsisImage = Blob | ImageBitmap | HTMLImageElement | string;

export interface RrsisSegmentOptions {
  /** Rejects at once with the signal's reason; a result that is still on its way is dropped. */
  signal?: AbortSignal;
  /** Foreground is where the probability exceeds this; between 0 and 1. Default: the model's. */
  threshold?: number;
}

export type RrsisState = 'idle' | 'loading' | 'ready' | 'running' | 'done' | 'error';

/** `<rrsis-segment>`: an image and an expression in, a mask over the image out. */
export class RrsisSegment extends HTMLElement {
  /** Reflected in the attribute `state`. */
  readonly state: RrsisState;
  /** Address of a model directory. Default: `models/rrsis-small/` beside the script. */
  model: string | undefined;
  /** Address of the image to show. */
  src: string | undefined;
  /** The text of the input. */
  expression: string;
  /** Where to compute. Default: `auto`, WebGPU where it works, else the CPU. */
  device: 'auto' | 'webgpu' | 'cpu';
  /** Side in pixels that the image is resized to for the network: a multiple of 32, 64 to 1024. */
  resolution: number | undefined;
  /** Loads the whole model now instead of when it is needed. */
  load(): Promise<void>;
  /** The mask of what `expression` refers to in `image`, also shown in the element. */
  segment(image: RrsisImage, expression: string, options?: RrsisSegmentOptions): Promise<RrsisResult>;

  addEventListener(type: 'progress', listener: (event: CustomEvent<RrsisProgress>) => void): void;
  addEventListener(type: 'result', listener: (event: CustomEvent<RrsisResult>) => void): void;
  addEventListener(
    type: 'error',
    listener: (event: CustomEvent<{ code: RrsisErrorCode; message: string }>) => void,
  ): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject): void;
}

/** The segmenter without a user interface. */
export interface RrsisSegmenter {
  readonly device?: 'webgpu' | 'cpu';
  readonly fallback?: string;
  onProgress(listener: (progress: RrsisProgress) => void): () => void;
  load(options?: { parts?: ('text' | 'vision')[]; signal?: AbortSignal }): Promise<void>;
  segment(
    image: RrsisImage,
    expression: string,
    options?: RrsisSegmentOptions & { resolution?: number },
  ): Promise<RrsisResult>;
}

export function createSegmenter(options?: {
  model?: string;
  device?: 'auto' | 'webgpu' | 'cpu';
}): RrsisSegmenter;

declare global {
  interface HTMLElementTagNameMap {
    'rrsis-segment': RrsisSegment;
  }
}
