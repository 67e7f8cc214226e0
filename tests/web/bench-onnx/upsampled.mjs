// From a network's output to a mask, as whoever runs the network alone would write it.

/** Where the margin of `from` x `from`, bilinear with aligned corners, is above 0 at `size` x `size`. */
export function upsampled(margin, from, size) {
  const mask = new Uint8Array(size * size);
  const step = (from - 1) / (size - 1);
  for (let y = 0; y < size; y++) {
    const top = Math.min(Math.floor(y * step), from - 2);
    const v = y * step - top;
    for (let x = 0; x < size; x++) {
      const left = Math.min(Math.floor(x * step), from - 2);
      const u = x * step - left;
      const at = top * from + left;
      const upper = margin[at] + (margin[at + 1] - margin[at]) * u;
      const lower = margin[at + from] + (margin[at + from + 1] - margin[at + from]) * u;
      mask[y * size + x] = upper + (lower - upper) * v > 0 ? 1 : 0;
    }
  }
  return mask;
}
