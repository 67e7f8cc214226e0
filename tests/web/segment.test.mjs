// The whole path in a real browser: drop an image, type, see the mask, on every kind of device.

import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  DIST, MANIFEST, PROGRAM, SITE, SLOW,
  drop, find, input, iou, lastMask, launch, nativeMask, openPage, state, status, waitForPicture, waitForState,
} from './harness.mjs';
import { counting, gpuCounts } from './gpu-counts.mjs';

const SAMPLE = 'rotterdam-quay.jpg';
const SAMPLE_FILE = join(DIST, 'samples', SAMPLE);
const SAMPLE_URL = new URL(`samples/${SAMPLE}`, SITE).href;
const TRUE_BYTES =
  MANIFEST.files.reduce((sum, file) => sum + file.bytes, 0) + statSync(join(DIST, 'pkg', PROGRAM.cpu)).size;

/** What another expression on the same image may ask of WebGPU. */
const MOST_DISPATCHES = 800;

const nameOf = (url) => url.split('/').at(-1);
const heavy = (page) => page.requests.filter((url) => /\.(bpk|wasm)$/.test(url)).map(nameOf).toSorted();

async function sameAsNative(page, expression, options) {
  const mask = await lastMask(page);
  const native = await nativeMask(page, SAMPLE_FILE, expression, options);
  assert.deepEqual([mask.width, mask.height], [native.width, native.height]);
  const overlap = iou(mask.mask, native.mask);
  assert.ok(overlap >= 0.99, `IoU ${overlap}`);
  return mask;
}

describe('without WebGPU', () => {
  let browser;
  before(async () => (browser = await launch()));
  after(() => browser?.close());

  test('a dropped image and a typed expression give the native command’s mask', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: { device: 'cpu' } });
    assert.equal(await state(page), 'idle');
    assert.deepEqual(heavy(page), [], 'nothing heavy before it is needed');

    await input(page).focus();
    await page.waitForFunction(() => progress.some(({ stage }) => stage === 'compiling'));
    await waitForState(page, 'idle', 'error');
    assert.deepEqual(heavy(page), [PROGRAM.cpu, 'text.bpk'], 'typing needs the text part alone');
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await waitForState(page, 'ready', 'error');
    assert.deepEqual(heavy(page), [PROGRAM.cpu, 'text.bpk', 'vision.bpk']);

    await find(page, 'water');
    assert.equal(await state(page), 'done', await status(page));
    assert.equal((await sameAsNative(page, 'water')).device, 'cpu');
    assert.ok(await page.locator('rrsis-segment .result').isVisible());

    const downloads = await page.evaluate(() => progress.filter(({ stage }) => stage === 'download'));
    const { loaded, total } = downloads.at(-1);
    assert.deepEqual([loaded, total], [TRUE_BYTES, TRUE_BYTES], 'progress ends at the true byte count');
    assert.ok(downloads.length > 4 && downloads.every((step) => step.loaded <= step.total));

    const elsewhere = page.requests.filter((url) => !url.startsWith(SITE) && !/^(blob|data):/.test(url));
    assert.deepEqual(elsewhere, [], 'no request to any other origin');
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });

  test('a free choice of device falls back to the CPU and says why', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: { resolution: '128' } });
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await find(page, 'water');
    assert.equal(await state(page), 'done', await status(page));
    const note = page.locator('rrsis-segment .note');
    assert.ok(await note.isVisible());
    assert.match(await note.textContent(), /^Running on the CPU: .*WebGPU/);
    await page.context().close();
  });

  test('asking for WebGPU where there is none is an error with a way out', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: { device: 'webgpu', resolution: '128' } });
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await find(page, 'water');
    assert.equal(await state(page), 'error');
    assert.match(await status(page), /"cpu"/);
    await page.evaluate(() => (document.querySelector('rrsis-segment').device = 'cpu'));
    await find(page, 'water');
    assert.equal(await state(page), 'done', await status(page));
    await page.context().close();
  });

  test('the page draws frames while the network runs', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: { device: 'cpu' } });
    await page.evaluate(() => document.querySelector('rrsis-segment').load());
    const { gap, duration } = await page.evaluate(async (address) => {
      let last = performance.now();
      let gap = 0;
      let running = true;
      const watch = (now) => {
        gap = Math.max(gap, now - last);
        last = now;
        if (running) requestAnimationFrame(watch);
      };
      requestAnimationFrame(watch);
      const start = performance.now();
      await document.querySelector('rrsis-segment').segment(address, 'water');
      running = false;
      return { gap, duration: performance.now() - start };
    }, SAMPLE_URL);
    // Not a speed test: a run on the page's own thread would leave one gap as long as itself.
    assert.ok(gap < duration / 2, `no frame for ${gap} of ${duration} ms`);
    await page.context().close();
  });

  test('cancelling rejects at once, its answer is dropped, and the next run works', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: { device: 'cpu' } });
    await page.evaluate(() => document.querySelector('rrsis-segment').load());
    const outcome = await page.evaluate(async (address) => {
      const element = document.querySelector('rrsis-segment');
      const abort = new AbortController();
      const first = element.segment(address, 'building', { signal: abort.signal });
      await new Promise((resolve) => {
        element.addEventListener('progress', ({ detail }) => detail.stage === 'running' && resolve());
      });
      abort.abort();
      const start = performance.now();
      const name = await first.then(() => 'a result', (error) => error.name);
      const wait = performance.now() - start;
      const state = element.state;
      const { mask } = await element.segment(address, 'water');
      return { name, wait, state, pixels: mask.length, results: results.length, errors: errors.length };
    }, SAMPLE_URL);
    assert.ok(outcome.wait < 500, `${outcome.wait} ms until the rejection`);
    delete outcome.wait;
    assert.deepEqual(outcome, { name: 'AbortError', state: 'ready', pixels: 600 * 400, results: 1, errors: 0 });
    await page.context().close();
  });

  test('a large image comes in tiles, each reported, and can be cancelled between them', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: { device: 'cpu', resolution: '64' } });
    const outcome = await page.evaluate(async () => {
      const element = document.querySelector('rrsis-segment');
      const canvas = new OffscreenCanvas(2000, 600);
      const context = canvas.getContext('2d');
      for (let x = 0; x < 2000; x += 50) {
        context.fillStyle = `hsl(${x} 40% 50%)`;
        context.fillRect(x, 0, 50, 600);
      }
      const image = await canvas.convertToBlob();
      const { width, height, mask } = await element.segment(image, 'water');
      const reported = progress.filter(({ tiles }) => tiles).map(({ tile, tiles }) => `${tile}/${tiles}`);

      const abort = new AbortController();
      const first = element.segment(image, 'road', { signal: abort.signal });
      await new Promise((resolve) => {
        element.addEventListener('progress', ({ detail }) => detail.tile === 1 && resolve());
      });
      abort.abort();
      const name = await first.then(() => 'a result', (error) => error.name);
      const again = await element.segment(image, 'water');
      const same = again.mask.every((value, index) => value === mask[index]);
      return { width, height, pixels: mask.length, reported, name, same };
    });
    assert.deepEqual(outcome, {
      width: 2000,
      height: 600,
      pixels: 1_200_000,
      reported: ['1/3', '2/3'],
      name: 'AbortError',
      same: true,
    });
    await page.context().close();
  });

  test('the Cancel button stops a run and its downloads', { timeout: SLOW }, async () => {
    const page = await openPage(browser, {
      attributes: { device: 'cpu', resolution: '64' },
      // Held back until the person has lost patience.
      prepare: (page) => page.route('**/vision.bpk', () => {}),
    });
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await input(page).fill('water');
    await input(page).press('Enter');
    const button = page.locator('rrsis-segment .run');
    assert.equal(await button.textContent(), 'Cancel');
    await page.waitForFunction(() => progress.length > 0);
    await button.click();
    await waitForState(page, 'idle');
    assert.equal(await button.textContent(), 'Find');
    await page.unroute('**/vision.bpk');
    await find(page, 'water');
    assert.equal(await state(page), 'done', await status(page));
    await page.context().close();
  });

  test('a blob, an ImageBitmap, an image element and a URL give the same mask', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: { device: 'cpu', resolution: '128' } });
    const masks = await page.evaluate(async (address) => {
      const element = document.querySelector('rrsis-segment');
      const blob = await (await fetch(address)).blob();
      const image = Object.assign(new Image(), { src: address });
      await image.decode();
      const bitmap = await createImageBitmap(blob);
      const masks = [];
      for (const source of [blob, address, bitmap, image, bitmap]) {
        masks.push(Array.from((await element.segment(source, 'water')).mask));
      }
      return masks;
    }, SAMPLE_URL);
    assert.deepEqual(masks[1], masks[0]);
    // The browser and the image crate round a JPEG's pixels differently.
    for (const mask of masks.slice(2)) assert.ok(iou(mask, masks[0]) > 0.97, `IoU ${iou(mask, masks[0])}`);
    await page.context().close();
  });

  test('two elements share one worker and one copy of the weights', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: { device: 'cpu', resolution: '64' } });
    const sizes = await page.evaluate(async (address) => {
      const first = document.querySelector('rrsis-segment');
      const second = Object.assign(document.createElement('rrsis-segment'), { device: 'cpu', resolution: 64 });
      first.after(second);
      const results = await Promise.all([first.segment(address, 'water'), second.segment(address, 'building')]);
      return results.map(({ mask }) => mask.length);
    }, SAMPLE_URL);
    assert.deepEqual(sizes, [240_000, 240_000]);
    assert.equal(page.workers().length, 1);
    assert.deepEqual(heavy(page), [PROGRAM.cpu, 'text.bpk', 'vision.bpk']);
    await page.context().close();
  });

  test('weights are kept from one visit to the next', { timeout: SLOW }, async () => {
    const context = await browser.newContext();
    const attributes = { device: 'cpu', resolution: '64' };
    const first = await openPage(browser, { context, attributes });
    await first.evaluate((address) => document.querySelector('rrsis-segment').segment(address, 'water'), SAMPLE_URL);
    // Kept in the background, so that a slow disk delays nobody.
    await first.evaluate(async (count) => {
      const cache = await caches.open('rrsis-weights-v1');
      while ((await cache.keys()).length < count) await new Promise((resolve) => setTimeout(resolve, 50));
    }, MANIFEST.files.length);
    await first.close();
    const second = await openPage(browser, { context, attributes });
    await second.evaluate((address) => document.querySelector('rrsis-segment').segment(address, 'water'), SAMPLE_URL);
    assert.deepEqual(heavy(second), [PROGRAM.cpu]);
    const last = await second.evaluate(() => progress.filter(({ stage }) => stage === 'download').at(-1));
    assert.equal(last.loaded, TRUE_BYTES);
    await context.close();
  });

  test('a sample is one click away, and its origin is named', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: { device: 'cpu', resolution: '64' } });
    await page.locator('rrsis-segment .sample', { hasText: 'Quay' }).click();
    await waitForPicture(page);
    assert.equal(await input(page).inputValue(), 'water');
    assert.match(await page.locator('rrsis-segment .attribution').textContent(), /SpaceNet.*CC BY-SA/);
    await page.keyboard.press('Enter');
    await waitForState(page, 'done', 'error');
    assert.equal(await state(page), 'done', await status(page));
    await page.context().close();
  });

  test('the opacity is adjustable without another run', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: { device: 'cpu', resolution: '64' } });
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await find(page, 'water');
    const opacity = page.locator('rrsis-segment .opacity');
    await opacity.focus();
    await page.keyboard.press('Home');
    const shown = await page
      .locator('rrsis-segment .fill')
      .evaluate((canvas) => getComputedStyle(canvas).opacity);
    assert.equal(shown, '0');
    assert.equal(await page.evaluate(() => results.length), 1);
    await page.context().close();
  });
});

describe('with WebGPU (SwiftShader)', () => {
  let browser;
  before(async () => (browser = await launch({ webgpu: true })));
  after(() => browser?.close());

  test('a dropped image and a typed expression give the native command’s mask', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: { device: 'webgpu', resolution: '128' }, prepare: counting });
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await find(page, 'water');
    assert.equal(await state(page), 'done', await status(page));
    const { device } = await sameAsNative(page, 'water', ['--resolution', '128', '--precision', 'f32']);
    assert.equal(device, 'webgpu');
    const stages = await page.evaluate(() => [...new Set(progress.map(({ stage }) => stage))]);
    assert.deepEqual(stages, ['download', 'compiling', 'running']);
    assert.ok(await page.locator('rrsis-segment .note').isHidden(), 'no note about a fallback');
    assert.deepEqual(heavy(page), [PROGRAM.webgpu, 'text.bpk', 'vision.bpk']);

    // Times are noise here and these are not; docs/benchmarks.md says what was counted.
    const before = await gpuCounts(page);
    await find(page, 'building');
    assert.equal(await state(page), 'done', await status(page));
    const after = await gpuCounts(page);
    const asked = (what) => after[what] - before[what];
    assert.ok(asked('dispatches') > 0 && asked('dispatches') <= MOST_DISPATCHES, JSON.stringify(after));
    assert.equal(asked('reads'), 1, 'the mask is read once, and nothing else');
    assert.equal(asked('pipelines'), 0, 'nothing is compiled for a second mask');
    assert.ok(after.largestBinding <= 128 * 2 ** 20, `${after.largestBinding} bytes in a binding`);
    await page.context().close();
  });
});
