import { probabilityAt, reduced, shownSize } from "./overlay.js";

/** Told apart by most people, also by those who see fewer colours, on green, grey and blue ground. */
const PALETTE = ["#ff2d8a", "#00b8ff", "#ffb000", "#7c4dff", "#00d084", "#ff5a1f", "#f2e600", "#ffffff"];

/** The first colour of the palette that no layer has. */
export function freeColor(layers, first) {
  const palette = [first, ...PALETTE.filter((color) => color !== first)];
  return palette.find((color) => layers.every((layer) => layer.color !== color)) ?? palette[layers.length % palette.length];
}

/** What one expression found in the picture. */
export class Layer {
  visible = true;
  /** Connected regions, once they have been counted. @type {number | undefined} */
  regions;
  #small;

  /**
   * @param {string} expression
   * @param {string} color
   * @param {import("../engine.js").SegmentResult} result
   */
  constructor(expression, color, result) {
    this.expression = expression.trim();
    this.color = color;
    this.accept(result);
  }

  /** Takes a result, or the same one with the mask of another threshold. */
  accept(result) {
    this.result = result;
    this.threshold = result.threshold;
    // A hundred million of them: a loop, not a call for each.
    let pixels = 0;
    for (const value of result.mask) pixels += value;
    this.pixels = pixels;
    this.regions = undefined;
    this.#small = undefined;
  }

  /** Share of the image, 0 to 1. */
  get share() {
    return this.result.mask.length ? this.pixels / this.result.mask.length : 0;
  }

  /** The mask at the size of a canvas. */
  get small() {
    const { mask, width, height } = this.result;
    const { columns, rows } = shownSize(width, height);
    this.#small ??= columns === width && rows === height ? mask : reduced(mask, width, height, columns, rows);
    return this.#small;
  }

  /** Probability at a place, 0 to 1 on both axes. */
  probability(x, y) {
    return probabilityAt(this.result, x, y);
  }
}
