// This project's side of bench-onnx.mjs, in the page.

import { createSegmenter } from '../../engine.js';
import { upsampled } from './upsampled.mjs';

export function create({ model, precision, threads }) {
  const segmenter = createSegmenter({ model, device: 'cpu', precision, threads });
  return {
    load: () => segmenter.load(),
    async segment(image, expression) {
      const { width, margin, timings } = await segmenter.segment(image, expression);
      // Its own mask follows the edges of the image, which the other side's does not.
      const mask = () => upsampled(margin.data, margin.width, width);
      return { mask, margin: margin.data, network: timings.vision_ms };
    },
  };
}
