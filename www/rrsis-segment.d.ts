/** <rrsis-segment>: an aerial image and an expression in, a mask out, computed on this machine. */

import type { DeviceChoice, ImageSource, Precision, Progress, RrsisError, SegmentOptions, SegmentResult } from "./engine.js";

export * from "./engine.js";

export interface RrsisSegmentEventMap extends HTMLElementEventMap {
  progress: CustomEvent<Progress>;
  /** `source`: the URL of the image where it has one, else "". */
  result: CustomEvent<SegmentResult & { expression: string; source: string }>;
  error: CustomEvent<{ code: RrsisError["code"]; message: string }>;
}

/** What one expression found. */
export interface FoundLayer {
  expression: string;
  /** `#rrggbb` */
  color: string;
  visible: boolean;
  threshold: number;
  /** Share of the image, 0 to 1. */
  share: number;
  /** Connected regions; undefined until they have been counted. */
  regions?: number;
  result: SegmentResult;
}

export class RrsisSegment extends HTMLElement {
  /** Attribute `model`: folder of the model, the one with `manifest.json`. */
  model: string;
  /** Attribute `src`: URL of the image to show first. */
  src: string;
  /** Attribute `expression` sets what the text box holds first; the property is what it holds now. */
  expression: string;
  /** Attribute `device`: "auto" by default. */
  device: DeviceChoice;
  /** Attribute `precision`: how a CPU multiplies; "int8" by default. */
  precision: Precision;
  /** Attribute `threads`: at most so many compute on a CPU; null: as many as there are, up to 8. */
  threads: number | null;
  /** Attribute `resolution`: side to which the image is resized for the network; null: the model's own. */
  resolution: number | null;
  /** Attribute `samples`: URL of a list of samples (see samples/samples.json). */
  samples: string;
  /** Attribute `loading`: "lazy" does not fetch `src` before the element comes into view. */
  loading: "eager" | "lazy";
  /** Attribute `poster`: URL of a picture that stands for `src` until somebody presses it. */
  poster: string;
  /** What was found in the picture, the topmost last. */
  readonly found: readonly FoundLayer[];
  /** Attribute `state`, set by the element. */
  readonly state: "idle" | "loading" | "ready" | "running" | "done" | "error";

  /** Loads the whole model and compiles it for the device. */
  load(): Promise<void>;
  /** Shows the image, finds what the expression refers to, and shows the mask. */
  segment(image: ImageSource, expression: string, options?: SegmentOptions): Promise<SegmentResult>;
  /** Shows a file that was dropped, chosen or pasted. */
  openFile(file: File): void;
  /** Removes what was found; the picture stays. */
  clear(): void;

  addEventListener<K extends keyof RrsisSegmentEventMap>(
    type: K,
    listener: (this: RrsisSegment, event: RrsisSegmentEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "rrsis-segment": RrsisSegment;
  }
}
