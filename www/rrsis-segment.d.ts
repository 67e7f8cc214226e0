/** <rrsis-segment>: an aerial image and an expression in, a mask out, computed on this machine. */

import type { DeviceChoice, ImageSource, Progress, RrsisError, SegmentOptions, SegmentResult } from "./engine.js";

export * from "./engine.js";

export interface RrsisSegmentEventMap extends HTMLElementEventMap {
  progress: CustomEvent<Progress>;
  result: CustomEvent<SegmentResult & { expression: string }>;
  error: CustomEvent<{ code: RrsisError["code"]; message: string }>;
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
  /** Attribute `resolution`: side to which the image is resized for the network; null: the model's own. */
  resolution: number | null;
  /** Attribute `samples`: URL of a list of samples (see samples/samples.json). */
  samples: string;
  /** Attribute `state`, set by the element. */
  readonly state: "idle" | "loading" | "ready" | "running" | "done" | "error";

  /** Loads the whole model and compiles it for the device. */
  load(): Promise<void>;
  /** Shows the image, finds what the expression refers to, and shows the mask. */
  segment(image: ImageSource, expression: string, options?: SegmentOptions): Promise<SegmentResult>;
  /** Shows a file that was dropped, chosen or pasted. */
  openFile(file: File): void;

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
