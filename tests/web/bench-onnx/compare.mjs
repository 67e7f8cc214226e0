// What bench-onnx.mjs makes of its numbers: whether two sides computed the same, and only then how
// their times compare.

/** Greatest difference of two f32 networks' margins, in logits, that is still called the same network. */
const SAME = 0.02;
/** Least IoU of all masks together of a side with 8-bit numbers that still counts as the same result. */
const ALIKE = 0.95;

/** The sides, each of them first in its turn: whatever the machine does, it does it to all of them. */
export const order = (sides, run) => sides.map((_, i) => sides[(run + i) % sides.length]);

/** Median, least and most. */
export function summary(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, least: sorted[0], most: sorted.at(-1) };
}

/**
 * How far a side's outputs are from another's: margins by their greatest difference, masks by the IoU
 * over all of them. `exact`: whether the side computes in f32 from the same weights.
 */
export function agreement({ exact, margins, masks }, own) {
  let difference = 0;
  let [both, either] = [0, 0];
  const paired = margins.length === own.margins.length && margins.every(({ length }, i) => length === own.margins[i].length);
  const masksPaired = masks.length === own.masks.length && masks.every(({ length }, i) => length === own.masks[i].length);
  if (!paired || !masksPaired || !margins.length) return { difference: null, iou: null, agrees: false };
  margins.forEach((margin, i) => {
    margin.forEach((value, j) => {
      const off = Math.abs(value - own.margins[i][j]);
      // Not a number counts as infinitely far: no comparison with it would tell.
      difference = Math.max(difference, Number.isFinite(off) ? off : Infinity);
    });
  });
  masks.forEach((mask, i) => {
    mask.forEach((value, j) => {
      both += value & own.masks[i][j];
      either += value | own.masks[i][j];
    });
  });
  // Where nobody marks anything, nothing is proved.
  const iou = either ? both / either : null;
  const agrees = Number.isFinite(difference) && iou !== null && iou >= ALIKE && (!exact || difference <= SAME);
  return { difference, iou, agrees };
}

/** How many times another side's time a side's is; null where their outputs disagree. */
export const ratio = (time, own, { agrees }) => (agrees ? time / own : null);
