// This project's side of bench-onnx.mjs, in the page.

import { createSegmenter } from '../../engine.js';

export function create({ model, precision, threads }) {
  const segmenter = createSegmenter({ model, device: 'cpu', precision, threads });
  return {
    load: () => segmenter.load(),
    async segment(image, expression) {
      const { mask, margin, timings } = await segmenter.segment(image, expression);
      return { mask, margin: margin.data, network: timings.vision_ms };
    },
  };
}
