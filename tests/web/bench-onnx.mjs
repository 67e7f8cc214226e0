// The same network, the same weights and the same pixels, here and in onnxruntime-web, in turns in one
// Chromium: run by `cargo xtask bench --onnx`, never by the tests. Prints JSON.
//
// RRSIS_BENCH_ONNX: folder with what reference/export_onnx.py writes. RRSIS_BENCH_MODEL: model directory
// with the same weights in f32. RRSIS_BENCH_THREADS threads on both sides, on the CPU.

import { execFile } from 'node:child_process';
import { createReadStream, existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { cpus, homedir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { agreement, order, ratio, summary } from './bench-onnx/compare.mjs';
import { ISOLATION } from './hosts.mjs';
import { DIST, launch, MODEL as SHIPPED, PROGRAM } from './harness.mjs';

const ONNX = process.env.RRSIS_BENCH_ONNX;
const MODEL = process.env.RRSIS_BENCH_MODEL;
const runs = Number(process.env.RRSIS_BENCH_RUNS || 5);
const threads = Number(process.env.RRSIS_BENCH_THREADS || 1);
/** Only isolated pages may have several. */
const isolation = threads > 1 ? ISOLATION : {};
const EXPRESSIONS = ['water', 'building', 'road', 'vegetation'];
const SAMPLES = ['samples/rotterdam-quay.jpg', 'samples/rotterdam-streets.jpg'];
const HERE = fileURLToPath(new URL('bench-onnx/', import.meta.url));
const TOOLS = fileURLToPath(new URL('onnx/', import.meta.url));
const CACHE = join(process.env.RRSIS_CACHE_DIR || join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'rrsis'), 'onnx');
const THEIR_PROGRAM = 'ort-wasm-simd-threaded.wasm';

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

const TYPES = { '.mjs': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json', '.js': 'text/javascript' };
const dist = await runtime();
const browser = await launch();

/** Bytes of files served so far. */
let served = 0;
/** Everything from one origin: the built site, and below bench/ an empty page, the model and the other runtime. */
const server = createServer((request, response) => {
  const path = decodeURIComponent(new URL(request.url, 'http://x').pathname);
  const from = (prefix, folder) => path.startsWith(prefix) && join(folder, normalize(`/${path.slice(prefix.length)}`));
  const file =
    from('/bench/model/', MODEL) || from('/bench/ort/', dist) || from('/bench/onnx/', ONNX) || from('/bench/js/', HERE) || from('/', DIST);
  if (path === '/bench/') {
    response.writeHead(200, { 'content-type': 'text/html', ...isolation }).end('<!doctype html><title>bench</title>');
  } else if (existsSync(file) && statSync(file).isFile()) {
    served += statSync(file).size;
    const type = TYPES[extname(file)] ?? 'application/octet-stream';
    // The browser may keep everything: what it does keep is seen in the second start.
    response.writeHead(200, { 'content-type': type, 'content-length': statSync(file).size, 'cache-control': 'max-age=3600', ...isolation });
    createReadStream(file).pipe(response);
  } else {
    response.writeHead(404).end();
  }
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const ORIGIN = `http://127.0.0.1:${server.address().port}/`;

/** Side of the network's input; the pictures have it too, so that nothing resizes them. */
const { size } = JSON.parse(readFileSync(join(MODEL, 'manifest.json'), 'utf8')).input;
const bytes = (folder, names) => readdirSync(folder).filter((name) => names.test(name)).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
const zipped = (file) => gzipSync(readFileSync(file), { level: 9 }).length;

const program = zipped(join(DIST, 'pkg', threads > 1 ? PROGRAM.threads : PROGRAM.cpu));
const ours = (name, exact, folder, model, precision) => ({
  name,
  exact,
  script: 'ours.mjs',
  options: { model: new URL(model, ORIGIN).href, precision, threads },
  weights: bytes(folder, /\.bpk$/),
  program,
});
const theirs = (suffix) => ({
  name: `onnxruntime-web, ${suffix ? 'int8' : 'f32'}`,
  exact: !suffix,
  script: 'theirs.mjs',
  options: { suffix, threads },
  weights: bytes(ONNX, new RegExp(`^(text|vision)${suffix}\\.onnx$`)),
  program: zipped(join(dist, THEIR_PROGRAM)),
});
const sides = [
  ours('rrsis, f32', true, MODEL, 'bench/model/', 'f32'),
  ours('rrsis, weights as shipped, products f32', false, SHIPPED, 'models/rrsis-small/', 'f32'),
  ours('rrsis, weights as shipped, products int8', false, SHIPPED, 'models/rrsis-small/', 'int8'),
  ...['', '-int8'].filter((suffix) => existsSync(join(ONNX, `vision${suffix}.onnx`))).map(theirs),
];

/** Parts of the samples as PNGs of the network's size: both sides read the same pixels. */
async function pictures() {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(new URL('bench/', ORIGIN).href);
  const encoded = await page.evaluate(
    async ({ samples, size }) => {
      const images = [];
      for (const sample of samples) {
        const bitmap = await createImageBitmap(await (await fetch(sample)).blob());
        const canvas = new OffscreenCanvas(size, size);
        const scale = Math.max(size / bitmap.width, size / bitmap.height);
        canvas.getContext('2d').drawImage(bitmap, 0, 0, bitmap.width * scale, bitmap.height * scale);
        const content = new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer());
        images.push(content.reduce((text, byte) => text + String.fromCharCode(byte), ''));
      }
      return images.map(btoa);
    },
    { samples: SAMPLES.map((sample) => new URL(sample, ORIGIN).href), size },
  );
  await context.close();
  return encoded;
}

/** Process ids of what shows pages. */
async function renderers() {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  return processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id);
}

/** Greatest resident memory of a process so far, where the system tells. */
function peak(pid) {
  const status = `/proc/${pid}/status`;
  const line = existsSync(status) && /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(status, 'utf8'));
  return line ? Number(line[1]) * 1024 : null;
}

/** Processor time of all cores so far, and what of it was idle, where the system tells. */
function processor() {
  if (!existsSync('/proc/stat')) return null;
  const spent = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0].trim().split(/\s+/).slice(1, 9).map(Number);
  return { all: spent.reduce((sum, part) => sum + part, 0), idle: spent[3] + spent[4] };
}

/** Cores that were busy between two readings: one of them is ours, the others are other programs'. */
const busy = (before, after) =>
  before && after.all > before.all ? cpus().length * (1 - (after.idle - before.idle) / (after.all - before.all)) : null;

const images = await pictures();

/** What the process of a page holds at most that has only the pictures: mostly Chromium's own files. */
async function withoutNetwork() {
  const others = await renderers();
  const context = await browser.newContext({ serviceWorkers: 'block' });
  await open(context, {});
  const peaks = (await renderers()).filter((pid) => !others.includes(pid)).map(peak);
  await context.close();
  return peaks.length && !peaks.includes(null) ? Math.max(...peaks) : null;
}

/** A page with the side's script, where there is one, and the pictures, but nothing of the network yet. */
async function open(context, { script, options }) {
  const page = await context.newPage();
  page.setDefaultTimeout(600_000);
  await page.goto(new URL('bench/', ORIGIN).href);
  await page.evaluate(
    async ({ script, options, images }) => {
      if (script) globalThis.side = (await import(script)).create(options);
      globalThis.images = images.map((image) => new Blob([Uint8Array.from(atob(image), (c) => c.charCodeAt(0))], { type: 'image/png' }));
    },
    { script: script && new URL(`bench/js/${script}`, ORIGIN).href, options, images },
  );
  return page;
}

/** Milliseconds until everything is loaded. */
const load = (page) =>
  page.evaluate(async () => {
    const start = performance.now();
    await side.load();
    return performance.now() - start;
  });

/** Milliseconds from the encoded picture to the mask, those of the network alone, and both results. */
const segment = (page, image, expression) =>
  page.evaluate(
    async ({ image, expression }) => {
      const start = performance.now();
      const { mask, margin, network } = await side.segment(images[image], expression);
      const milliseconds = performance.now() - start;
      return { milliseconds, network, mask: Array.from(mask()), margin: Array.from(margin) };
    },
    { image, expression },
  );

/** From an empty page to the first mask. */
async function start(context, side) {
  const page = await open(context, side);
  const before = served;
  const ready = await load(page);
  const { milliseconds } = await segment(page, 0, EXPRESSIONS[0]);
  return { page, ready, first: ready + milliseconds, fetched: served - before };
}

const alone = await withoutNetwork();
for (const side of sides) {
  const others = await renderers();
  const context = await browser.newContext({ serviceWorkers: 'block' });
  side.cold = await start(context, side);
  await side.cold.page.close();
  side.warm = await start(context, side);
  side.page = side.warm.page;
  side.processes = (await renderers()).filter((pid) => !others.includes(pid));
  Object.assign(side, { times: [], network: [], next: [], busy: [], margins: [], masks: [] });
}
for (let run = 0; run < runs; run++) {
  // Never the picture of the mask before, so that nothing that is kept of one serves for the other.
  const image = (run + 1) % images.length;
  for (const side of order(sides, run)) {
    const before = processor();
    const result = await segment(side.page, image, EXPRESSIONS[(run + 1) % EXPRESSIONS.length]);
    side.busy.push(busy(before, processor()));
    const next = await segment(side.page, image, EXPRESSIONS[(run + 2) % EXPRESSIONS.length]);
    side.times.push(result.milliseconds);
    side.network.push(result.network);
    side.next.push(next.milliseconds);
    for (const { margin, mask } of [result, next]) {
      side.margins.push(Float32Array.from(margin));
      side.masks.push(Uint8Array.from(mask));
    }
  }
}
for (const side of sides) {
  const peaks = side.processes.map(peak).filter((bytes) => bytes !== null);
  side.peak = peaks.length ? Math.max(...peaks) : null;
}
const version = browser.version();
await browser.close();
server.close();

const [own] = sides;
const round = (value) => Math.round(value);
console.log(
  JSON.stringify({
    chromium: version,
    size,
    runs,
    threads,
    cores: cpus().length,
    page_alone_bytes: alone,
    onnxruntime_web: JSON.parse(readFileSync(join(dist, '../package.json'), 'utf8')).version,
    sides: sides.map((side) => {
      const found = agreement(side, own);
      const [times, network, next] = [side.times, side.network, side.next].map(summary);
      const compared = (of) => ratio(summary(of(side)).median, summary(of(own)).median, found);
      return {
        name: side.name,
        weights_bytes: side.weights,
        program_gzip_bytes: side.program,
        fetched_cold_bytes: side.cold.fetched,
        fetched_warm_bytes: side.warm.fetched,
        ready_cold_ms: round(side.cold.ready),
        ready_warm_ms: round(side.warm.ready),
        first_mask_cold_ms: round(side.cold.first),
        first_mask_warm_ms: round(side.warm.first),
        // In the order of the runs, with the cores that were busy meanwhile.
        mask_ms: side.times.map(round),
        busy_cores: side.busy.map((cores) => cores && Number(cores.toFixed(2))),
        mask_median_ms: round(times.median),
        mask_least_ms: round(times.least),
        mask_most_ms: round(times.most),
        network_median_ms: round(network.median),
        network_ms: side.network.map(round),
        next_expression_ms: side.next.map(round),
        busy_cores_median: side.busy.includes(null) ? null : summary(side.busy).median,
        next_expression_median_ms: round(next.median),
        next_expression_least_ms: round(next.least),
        next_expression_most_ms: round(next.most),
        peak_memory_bytes: side.peak,
        greatest_difference: found.difference,
        mask_iou: found.iou,
        // No ratio where the outputs disagree.
        times_ours: compared(({ times }) => times),
        next_times_ours: compared(({ next }) => next),
      };
    }),
  }),
);
