// The same network, the same weights and the same pixels, here and in onnxruntime-web, in turns in one
// Chromium: run by `cargo xtask bench --onnx`, never by the tests. Prints JSON.
//
// RRSIS_BENCH_ONNX: folder with what reference/export_onnx.py writes. RRSIS_BENCH_MODEL: model directory
// with the same weights in f32. One thread on both sides, on the CPU.

import { execFile } from 'node:child_process';
import { createReadStream, existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { homedir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { DIST, launch } from './harness.mjs';

const ONNX = process.env.RRSIS_BENCH_ONNX;
const MODEL = process.env.RRSIS_BENCH_MODEL;
const runs = Number(process.env.RRSIS_BENCH_RUNS || 5);
const EXPRESSIONS = ['water', 'building', 'road', 'vegetation'];
const SAMPLES = ['samples/rotterdam-quay.jpg', 'samples/rotterdam-streets.jpg'];
/** Greatest difference of two f32 networks' margins, in logits, that is still called the same network. */
const SAME = 0.02;
const TOOLS = fileURLToPath(new URL('onnx/', import.meta.url));
const CACHE = join(process.env.RRSIS_CACHE_DIR || join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'rrsis'), 'onnx');

/** The folder of onnxruntime-web's files. */
async function runtime() {
  const list = readFileSync(join(TOOLS, 'package.json'), 'utf8');
  const done = join(CACHE, 'done');
  if (!existsSync(done) || readFileSync(done, 'utf8') !== list) {
    mkdirSync(CACHE, { recursive: true });
    writeFileSync(join(CACHE, 'package.json'), list);
    await promisify(execFile)('npm', ['install', '--no-package-lock', '--no-audit', '--no-fund'], { cwd: CACHE });
    writeFileSync(done, list);
  }
  return join(CACHE, 'node_modules/onnxruntime-web/dist');
}

const TYPES = { '.html': 'text/html', '.mjs': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json', '.js': 'text/javascript' };
const PAGE = `<!doctype html><title>onnxruntime-web</title><script type="module">
import * as ort from './ort/ort.wasm.min.mjs';
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = new URL('./ort/', location.href).href;
let sessions, input, vocabulary;
globalThis.open = async (suffix) => {
  const start = performance.now();
  const manifest = await (await fetch('../model/manifest.json')).json();
  input = { ...manifest.input };
  vocabulary = (await (await fetch('../model/tokenizer.json')).json()).model.vocab;
  const load = async (name) => ort.InferenceSession.create(new Uint8Array(await (await fetch('onnx/' + name + suffix + '.onnx')).arrayBuffer()), { executionProviders: ['wasm'] });
  sessions = { text: await load('text'), vision: await load('vision') };
  return performance.now() - start;
};
globalThis.run = async (blob, expression) => {
  const start = performance.now();
  const { size, mean, std, max_tokens: tokens } = input;
  const bitmap = await createImageBitmap(blob);
  const context = new OffscreenCanvas(size, size).getContext('2d', { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, size, size);
  const pixels = new Float32Array(3 * size * size);
  for (let c = 0; c < 3; c++) for (let i = 0; i < size * size; i++) pixels[c * size * size + i] = (data[4 * i + c] / 255 - mean[c]) / std[c];
  const ids = new BigInt64Array(tokens), mask = new BigInt64Array(tokens);
  // Words that are one word piece each.
  ['[CLS]', ...expression.split(' '), '[SEP]'].forEach((word, i) => { ids[i] = BigInt(vocabulary[word]); mask[i] = 1n; });
  const tensor = (type, data, dims) => new ort.Tensor(type, data, dims);
  const feeds = { ids: tensor('int64', ids, [1, tokens]), mask: tensor('int64', mask, [1, tokens]) };
  const { words } = await sessions.text.run(feeds);
  const before = performance.now();
  const { margin } = await sessions.vision.run({ pixels: tensor('float32', pixels, [1, 3, size, size]), words, mask: feeds.mask });
  return { milliseconds: performance.now() - start, network: performance.now() - before, margin: Array.from(margin.data) };
};
globalThis.ready = true;
</script>`;

const dist = await runtime();
const browser = await launch();

/** Everything from one origin: the built site, and below bench/ the model, the other runtime and its files. */
const server = createServer((request, response) => {
  const path = decodeURIComponent(new URL(request.url, 'http://x').pathname);
  const from = (prefix, folder) => path.startsWith(prefix) && join(folder, normalize(`/${path.slice(prefix.length)}`));
  const file = from('/bench/model/', MODEL) || from('/bench/side/ort/', dist) || from('/bench/side/onnx/', ONNX) || from('/', DIST);
  if (path === '/bench/side/') {
    response.writeHead(200, { 'content-type': 'text/html' }).end(PAGE);
  } else if (existsSync(file) && statSync(file).isFile()) {
    response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' });
    createReadStream(file).pipe(response);
  } else if (path === '/') {
    response.writeHead(200, { 'content-type': 'text/html' }).end(readFileSync(join(DIST, 'index.html')));
  } else {
    response.writeHead(404).end();
  }
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const ORIGIN = `http://127.0.0.1:${server.address().port}/`;
const context = () => browser.newContext({ serviceWorkers: 'block' });

/** A part of a sample as a PNG that needs no resizing, so that both sides read the same pixels. */
const prepare = (page, size) =>
  page.evaluate(
    async ({ samples, size }) => {
      globalThis.images = [];
      for (const sample of samples) {
        const bitmap = await createImageBitmap(await (await fetch(sample)).blob());
        const canvas = new OffscreenCanvas(size, size);
        const scale = Math.max(size / bitmap.width, size / bitmap.height);
        canvas.getContext('2d').drawImage(bitmap, 0, 0, bitmap.width * scale, bitmap.height * scale);
        images.push(await canvas.convertToBlob());
      }
    },
    { samples: SAMPLES.map((sample) => new URL(sample, ORIGIN).href), size },
  );

/** This project's side. */
async function ours() {
  const page = await (await context()).newPage();
  page.setDefaultTimeout(600_000);
  await page.goto(ORIGIN);
  await prepare(page, size);
  return {
    name: 'rrsis',
    page,
    open: () => Promise.resolve(0),
    run: (image, expression) =>
      page.evaluate(
        async ({ image, expression, model }) => {
          const { createSegmenter } = await import(new URL('engine.js', location.href).href);
          globalThis.segmenter ??= createSegmenter({ model, device: 'cpu' });
          const start = performance.now();
          const { margin, timings } = await segmenter.segment(images[image], expression);
          return { milliseconds: performance.now() - start, network: timings.vision_ms, margin: Array.from(margin.data) };
        },
        { image, expression, model: new URL('bench/model/', ORIGIN).href },
      ),
  };
}

/** The other side: onnxruntime-web with one of the exported files. */
async function theirs(suffix) {
  const page = await (await context()).newPage();
  page.setDefaultTimeout(600_000);
  await page.goto(new URL('bench/side/', ORIGIN).href);
  await page.waitForFunction(() => globalThis.ready);
  await prepare(page, size);
  return {
    name: `onnxruntime-web${suffix && ` ${suffix.slice(1)}`}`,
    page,
    open: () => page.evaluate((suffix) => open(suffix), suffix),
    run: (image, expression) => page.evaluate(({ image, expression }) => run(images[image], expression), { image, expression }),
  };
}

const { size } = JSON.parse(readFileSync(join(MODEL, 'manifest.json'), 'utf8')).input;
const suffixes = ['', '-int8'].filter((suffix) => existsSync(join(ONNX, `vision${suffix}.onnx`)));
const sides = [await ours(), ...(await Promise.all(suffixes.map(theirs)))];
for (const side of sides) {
  const opened = await side.open();
  const first = await side.run(0, EXPRESSIONS[0]);
  Object.assign(side, { start: opened + first.milliseconds, times: [], network: [], next: [], difference: 0, overlap: [0, 0] });
}
for (let run = 0; run < runs; run++) {
  const image = run % 2;
  const expression = EXPRESSIONS[(run + 1) % EXPRESSIONS.length];
  let reference;
  for (const side of sides) {
    const { milliseconds, network, margin } = await side.run(image, expression);
    side.times.push(milliseconds);
    side.network.push(network);
    side.next.push((await side.run(image, EXPRESSIONS[(run + 2) % EXPRESSIONS.length])).milliseconds);
    reference ??= margin;
    side.difference = Math.max(side.difference, ...margin.map((value, i) => Math.abs(value - reference[i])));
    for (let i = 0; i < margin.length; i++) {
      side.overlap[0] += margin[i] > 0 && reference[i] > 0 ? 1 : 0;
      side.overlap[1] += margin[i] > 0 || reference[i] > 0 ? 1 : 0;
    }
  }
}
const version = browser.version();
await browser.close();
server.close();

const median = (values) => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};
const bytes = (folder, names) => readdirSync(folder).filter((name) => names.test(name)).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
const [own] = sides;
console.log(
  JSON.stringify({
    chromium: version,
    size,
    runs,
    onnxruntime_web: JSON.parse(readFileSync(join(dist, '../package.json'), 'utf8')).version,
    sides: sides.map((side, i) => {
      const same = side === own || side.name.endsWith('int8') || side.difference <= SAME;
      return {
        name: side.name,
        weights_bytes: i === 0 ? bytes(MODEL, /\.bpk$/) : bytes(ONNX, i === 1 ? /^(text|vision)\.onnx$/ : /-int8\.onnx$/),
        first_mask_ms: Math.round(side.start),
        mask_median_ms: Math.round(median(side.times)),
        mask_least_ms: Math.round(Math.min(...side.times)),
        mask_most_ms: Math.round(Math.max(...side.times)),
        network_median_ms: Math.round(median(side.network)),
        next_expression_median_ms: Math.round(median(side.next)),
        greatest_difference: side.difference,
        mask_iou: side.overlap[1] ? side.overlap[0] / side.overlap[1] : null,
        // No ratio where the outputs disagree.
        times_ours: same ? median(side.times) / median(own.times) : null,
      };
    }),
  }),
);
