// onnxruntime-web's side of bench-onnx.mjs, in the page: what somebody would write who picks it instead.

import { upsampled } from './upsampled.mjs';

const bytes = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());
const json = async (url) => (await fetch(url)).json();

/** `suffix`: which of the exported files; `threads`: how many compute. */
export function create({ suffix, threads }) {
  let ort, sessions, input, vocabulary;
  return {
    async load() {
      const file = (name) => bytes(new URL(`../onnx/${name}${suffix}.onnx`, import.meta.url));
      const files = [file('text'), file('vision')];
      const [manifest, tokenizer] = ['manifest', 'tokenizer'].map((name) => json(new URL(`../model/${name}.json`, import.meta.url)));
      ort = await import('../ort/ort.wasm.min.mjs');
      ort.env.wasm.numThreads = threads;
      ort.env.wasm.wasmPaths = new URL('../ort/', import.meta.url).href;
      const session = async (content) => ort.InferenceSession.create(await content, { executionProviders: ['wasm'] });
      sessions = { text: await session(files[0]), vision: await session(files[1]) };
      ({ input } = await manifest);
      vocabulary = (await tokenizer).model.vocab;
    },

    async segment(image, expression) {
      const { size, max_tokens: tokens } = input;
      const pixels = normalised(await createImageBitmap(image), input);
      const ids = new BigInt64Array(tokens);
      const mask = new BigInt64Array(tokens);
      // Words that are one word piece each.
      ['[CLS]', ...expression.split(' '), '[SEP]'].forEach((word, i) => {
        ids[i] = BigInt(vocabulary[word]);
        mask[i] = 1n;
      });
      const positions = { ids: new ort.Tensor('int64', ids, [1, tokens]), mask: new ort.Tensor('int64', mask, [1, tokens]) };
      const { words } = await sessions.text.run(positions);
      const start = performance.now();
      const feeds = { pixels: new ort.Tensor('float32', pixels, [1, 3, size, size]), words, mask: positions.mask };
      const { margin } = await sessions.vision.run(feeds);
      const network = performance.now() - start;
      const result = upsampled(margin.data, margin.dims[2], size);
      return { mask: () => result, margin: margin.data, network };
    },
  };
}

/** Planes of red, green and blue. */
function normalised(bitmap, { size, mean, std }) {
  const context = new OffscreenCanvas(size, size).getContext('2d', { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, size, size);
  const count = size * size;
  const pixels = new Float32Array(3 * count);
  for (let c = 0; c < 3; c++) {
    for (let i = 0; i < count; i++) pixels[c * count + i] = (data[4 * i + c] / 255 - mean[c]) / std[c];
  }
  return pixels;
}
