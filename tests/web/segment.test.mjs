// The whole path in a real browser: drop an image, type, see the mask, on every kind of device.

import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  DIST, MANIFEST, OUTPUT, SITE, SLOW,
  drop, find, input, iou, lastMask, launch, nativeMask, openPage, status, waitForState,
} from './harness.mjs';

const SAMPLE = 'rotterdam-harbour.jpg';
const SAMPLE_FILE = join(DIST, 'samples', SAMPLE);
const SAMPLE_URL = new URL(`samples/${SAMPLE}`, SITE).href;

describe('without WebGPU', () => {
  let browser;
  before(async () => (browser = await launch()));
  after(() => browser?.close());

  test('a dropped image and a typed expression give the native command’s mask', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: { device: 'cpu' } });
    assert.equal(await page.locator('rrsis-segment').getAttribute('state'), 'idle');
    const heavy = () => page.requests.filter((url) => /\.(bpk|wasm)$/.test(url)).map((url) => url.split('/').at(-1));
    assert.deepEqual(heavy(), [], 'nothing heavy before it is needed');

    await input(page).focus();
    await waitForState(page, 'ready', 'error');
    assert.deepEqual(heavy().toSorted(), ['rrsis_bg.wasm', 'text.bpk'], 'typing needs the text part alone');
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await page.waitForFunction(() => progress.some(({ file }) => file === 'vision.bpk'));
    await find(page, 'water');

    assert.equal(await page.locator('rrsis-segment').getAttribute('state'), 'done', await status(page));
    const mask = await lastMask(page);
    const native = await nativeMask(page, SAMPLE_FILE, 'water');
    assert.deepEqual([mask.width, mask.height], [native.width, native.height]);
    assert.equal(mask.device, 'cpu');
    assert.ok(iou(mask.mask, native.mask) >= 0.99, `IoU ${iou(mask.mask, native.mask)}`);

    const last = await page.evaluate(() => progress.filter(({ stage }) => stage === 'download').at(-1));
    const bytes = MANIFEST.files.reduce((sum, file) => sum + file.bytes, 0);
    const module = statSync(join(DIST, 'pkg', 'rrsis_bg.wasm')).size;
    assert.deepEqual([last.loaded, last.total], [bytes + module, bytes + module], 'progress ends at the true byte count');

    assert.deepEqual(page.requests.filter((url) => !url.startsWith(SITE) && !/^(blob|data):/.test(url)), []);
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });

  test('the choice of device is free: a note says why it is the CPU', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: { resolution: '128' } });
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await find(page, 'water');
    assert.equal(await page.locator('rrsis-segment').getAttribute('state'), 'done', await status(page));
    const note = page.locator('rrsis-segment .note.device');
    assert.ok(await note.isVisible());
    assert.match(await note.textContent(), /CPU.*WebGPU/s);
    await page.context().close();
  });

  test('the page answers while the network runs', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: { device: 'cpu' } });
    await page.evaluate(() => document.querySelector('rrsis-segment').load());
    const { gap, duration } = await page.evaluate(async (address) => {
      const element = document.querySelector('rrsis-segment');
      let last = performance.now();
      let gap = 0;
      let running = true;
      const watch = () => {
        const now = performance.now();
        gap = Math.max(gap, now - last);
        last = now;
        if (running) setTimeout(watch, 10);
      };
      setTimeout(watch, 10);
      const start = performance.now();
      await element.segment(address, 'water');
      running = false;
      return { gap, duration: performance.now() - start };
    }, SAMPLE_URL);
    // Not a speed test: a run on the page's own thread would leave one gap as long as itself.
    assert.ok(gap < duration / 2, `silent for ${gap} of ${duration} ms`);
    await page.context().close();
  });

  test('cancelling rejects at once, and the next run works', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: { device: 'cpu' } });
    await page.evaluate(() => document.querySelector('rrsis-segment').load());
    const outcome = await page.evaluate(async (address) => {
      const element = document.querySelector('rrsis-segment');
      const abort = new AbortController();
      const first = element.segment(address, 'building', { signal: abort.signal });
      setTimeout(() => abort.abort(), 100);
      const name = await first.then(() => 'a result', (error) => error.name);
      const { mask } = await element.segment(address, 'water');
      return { name, pixels: mask.length, results: results.length };
    }, SAMPLE_URL);
    assert.deepEqual(outcome, { name: 'AbortError', pixels: 200 * 200, results: 1 });
    await page.context().close();
  });

  test('an ImageBitmap, an image element and a blob give the same mask', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: { device: 'cpu', resolution: '128' } });
    const masks = await page.evaluate(async (address) => {
      const element = document.querySelector('rrsis-segment');
      const blob = await (await fetch(address)).blob();
      const image = Object.assign(new Image(), { src: address });
      await image.decode();
      const masks = [];
      for (const source of [blob, await createImageBitmap(blob), image, address]) {
        masks.push(Array.from((await element.segment(source, 'water')).mask));
      }
      return masks;
    }, SAMPLE_URL);
    // The browser and the image crate decode JPEG with rounding of their own.
    for (const mask of masks.slice(1)) assert.ok(iou(mask, masks[0]) > 0.97, `IoU ${iou(mask, masks[0])}`);
    await page.context().close();
  });

  test('it looks right at three sizes', { timeout: SLOW }, async () => {
    for (const [name, viewport] of [['phone', { width: 375, height: 812 }], ['tablet', { width: 820, height: 1180 }], ['desktop', { width: 1440, height: 900 }]]) {
      const page = await openPage(browser, { viewport, attributes: { device: 'cpu', resolution: '256' } });
      await page.locator('.samples button').first().waitFor();
      await page.screenshot({ path: join(OUTPUT, `${name}-start.png`), fullPage: true });
      await page.locator('.samples button', { hasText: 'Harbour' }).click();
      await find(page, 'water');
      await page.screenshot({ path: join(OUTPUT, `${name}-done.png`), fullPage: true });
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overflow <= 0, `${name}: ${overflow} px too wide`);
      await page.context().close();
    }
    console.log(`screenshots: ${OUTPUT}`);
  });
});

describe('with WebGPU (SwiftShader)', () => {
  let browser;
  before(async () => (browser = await launch({ webgpu: true })));
  after(() => browser?.close());

  test('a dropped image and a typed expression give the native command’s mask', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: { device: 'webgpu', resolution: '128' } });
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await find(page, 'water');
    assert.equal(await page.locator('rrsis-segment').getAttribute('state'), 'done', await status(page));
    const mask = await lastMask(page);
    assert.equal(mask.device, 'webgpu');
    const native = await nativeMask(page, SAMPLE_FILE, 'water', ['--resolution', '128']);
    assert.ok(iou(mask.mask, native.mask) >= 0.99, `IoU ${iou(mask.mask, native.mask)}`);
    const stages = await page.evaluate(() => [...new Set(progress.map(({ stage }) => stage))]);
    assert.deepEqual(stages, ['download', 'loading', 'compiling', 'running']);
    await page.context().close();
  });
});
