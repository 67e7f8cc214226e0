// How long a mask takes in the browser: run by `cargo xtask bench`, never by the tests.
//
// RRSIS_BENCH_SITES: JSON list of { name, url, dist, threads }; the sites take turns in one Chromium,
// because machines are noisy. RRSIS_BENCH_SIDE: draws square images of so many pixels a side from the
// samples. Prints JSON.

import { readFileSync, readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { launch, memoryOf } from './harness.mjs';

const sites = JSON.parse(process.env.RRSIS_BENCH_SITES);
const device = process.env.RRSIS_BENCH_DEVICE || 'cpu';
const runs = Number(process.env.RRSIS_BENCH_RUNS || 5);
const side = Number(process.env.RRSIS_BENCH_SIDE || 0);
const model = `models/${process.env.RRSIS_BENCH_SITE_MODEL || 'rrsis-small'}/`;
const resolution = process.env.RRSIS_BENCH_RESOLUTION;
/** Two images in turns, so that nothing that is kept of one serves for the next. */
const SAMPLES = ['samples/rotterdam-quay.jpg', 'samples/rotterdam-streets.jpg'];
const EXPRESSIONS = ['water', 'building', 'road', 'vegetation'];

const median = (values) => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

async function open(context, site) {
  const page = await context.newPage();
  page.setDefaultTimeout(600_000);
  // Which of a site's modules it loads is its own affair.
  page.on('request', (request) => {
    if (/\.wasm$/.test(request.url())) page.program = join(site.dist, request.url().slice(site.url.length));
  });
  await page.goto(site.url);
  await page.evaluate(
    ({ model, device, threads, resolution }) => {
      const element = document.querySelector('rrsis-segment');
      element.setAttribute('model', model);
      element.setAttribute('device', device);
      element.setAttribute('threads', threads);
      if (resolution) element.setAttribute('resolution', resolution);
    },
    { model, device, threads: String(site.threads), resolution },
  );
  return page;
}

/** Milliseconds from the call to the mask, what the worker says of them, and the mask's size. */
const mask = (page, expression, sample = SAMPLES[0]) =>
  page.evaluate(
    async ({ sample, expression, side }) => {
      let blob = await (await fetch(sample)).blob();
      if (side) {
        const image = await createImageBitmap(blob);
        const canvas = new OffscreenCanvas(side, side);
        const context = canvas.getContext('2d');
        for (let y = 0; y < side; y += image.height) for (let x = 0; x < side; x += image.width) context.drawImage(image, x, y);
        blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.9 });
      }
      const element = document.querySelector('rrsis-segment');
      const start = performance.now();
      const { timings, mask, device } = await element.segment(blob, expression);
      const milliseconds = performance.now() - start;
      return { milliseconds, timings, device, foreground: mask.reduce((sum, value) => sum + value, 0) };
    },
    { sample, expression, side },
  );

const bytes = (directory) =>
  readdirSync(directory, { recursive: true })
    .map((name) => statSync(join(directory, name)))
    .reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0);

const browser = await launch({ webgpu: device === 'webgpu' });
const measured = [];
for (const site of sites) {
  const cold = await browser.newContext();
  const first = await mask(await open(cold, site), EXPRESSIONS[0]);
  for (const page of cold.pages()) await page.close();
  // The weights are kept; the module is compiled again.
  const page = await open(cold, site);
  const again = await mask(page, EXPRESSIONS[0]);
  measured.push({ site, page, first, again, times: [], next: [], vision: [], foreground: [] });
}
for (let run = 0; run < runs; run++) {
  for (const one of measured) {
    const sample = SAMPLES[(run + 1) % SAMPLES.length];
    const result = await mask(one.page, EXPRESSIONS[(run + 1) % EXPRESSIONS.length], sample);
    const next = await mask(one.page, EXPRESSIONS[(run + 2) % EXPRESSIONS.length], sample);
    one.next.push(next.milliseconds);
    one.times.push(result.milliseconds);
    one.vision.push(result.timings.vision_ms);
    one.foreground.push(result.foreground);
  }
}
const version = browser.version();
// Of a process that several sites may have shared it would say nothing.
const memory = sites.length === 1 ? memoryOf(browser)?.renderer.peak : undefined;
await browser.close();

const rounded = (value) => Math.round(value);
console.log(
  JSON.stringify({
    chromium: version,
    device,
    sample: SAMPLES.join(' and ') + (side ? `, repeated over ${side} x ${side} pixels` : ''),
    resolution: resolution ? Number(resolution) : JSON.parse(readFileSync(join(sites[0].dist, model, 'manifest.json'))).input.size,
    runs,
    sites: measured.map(({ site, page, first, again, times, next, vision, foreground }) => ({
      name: site.name,
      device: first.device,
      program: basename(page.program),
      program_bytes: statSync(page.program).size,
      program_gzip_bytes: gzipSync(readFileSync(page.program), { level: 9 }).length,
      model_bytes: bytes(join(site.dist, model)),
      first_mask_cold_ms: rounded(first.milliseconds),
      first_mask_warm_ms: rounded(again.milliseconds),
      mask_median_ms: rounded(median(times)),
      mask_least_ms: rounded(Math.min(...times)),
      mask_most_ms: rounded(Math.max(...times)),
      next_expression_median_ms: rounded(median(next)),
      network_median_ms: rounded(median(vision)),
      peak_memory_bytes: memory,
      foreground,
    })),
  }),
);
