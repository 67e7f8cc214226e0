// The other engine: module workers, the Cache API (in private windows too), bitmaps and canvases as
// Firefox has them. Driven over WebDriver BiDi, which needs no program beside the browser.

import assert from 'node:assert/strict';
import { accessSync, constants, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import puppeteer from 'puppeteer-core';
import { DIST, OUTPUT, SITE, SLOW, iou, nativeMask } from './harness.mjs';

const SAMPLE = join(DIST, 'samples', 'rotterdam-quay.jpg');
const GEOTIFF = fileURLToPath(new URL('../goldens/geotiff/satellite_u16_planar_lzw_tiled.tif', import.meta.url));

function firefox() {
  const named = process.env.FIREFOX;
  const places = (process.env.PATH ?? '').split(delimiter).flatMap((dir) => ['firefox', 'firefox-esr'].map((name) => join(dir, name)));
  return (named ? [named] : places).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

const executablePath = firefox();
const options = { timeout: SLOW, skip: executablePath ? false : 'there is no Firefox here: install firefox-esr or set FIREFOX' };

const open = (preferences = {}) =>
  puppeteer.launch({
    browser: 'firefox',
    executablePath,
    headless: true,
    userDataDir: mkdtempSync(join(tmpdir(), 'rrsis-firefox-')),
    timeout: SLOW,
    protocolTimeout: SLOW,
    extraPrefsFirefox: preferences,
  });

async function visit(browser, attributes) {
  const page = await browser.newPage();
  page.setDefaultTimeout(SLOW);
  await page.setViewport({ width: 1200, height: 900 });
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && page.complaints.push(message.text()));
  await page.goto(SITE);
  await page.evaluate((attributes) => {
    const element = document.querySelector('rrsis-segment');
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    globalThis.errors = [];
    globalThis.results = [];
    element.addEventListener('error', ({ detail }) => errors.push(detail));
    element.addEventListener('result', ({ detail }) => results.push(detail));
  }, attributes);
  return page;
}

async function choose(page, path) {
  const file = await page.evaluateHandle(() => document.querySelector('rrsis-segment').shadowRoot.querySelector('.file'));
  await file.asElement().uploadFile(path);
  await page.waitForFunction(() => {
    const element = document.querySelector('rrsis-segment');
    return !element.shadowRoot.querySelector('.view').hidden && ['idle', 'ready', 'done', 'error'].includes(element.state);
  });
}

async function find(page, expression) {
  await page.evaluate((expression) => {
    const { shadowRoot } = document.querySelector('rrsis-segment');
    shadowRoot.querySelector('.expression').focus();
    shadowRoot.querySelector('.expression').value = expression;
  }, expression);
  const before = await page.evaluate(() => results.length + errors.length);
  await page.keyboard.press('Enter');
  await page.waitForFunction((before) => results.length + errors.length > before, {}, before);
  const { state, said } = await page.evaluate(() => {
    const element = document.querySelector('rrsis-segment');
    return { state: element.state, said: element.shadowRoot.querySelector('.message').textContent };
  });
  assert.equal(state, 'done', said);
}

describe('Firefox', () => {
  let browser;
  before(async () => {
    if (executablePath) browser = await open();
  }, { timeout: SLOW });
  after(() => browser?.close());

  test('a chosen image and a typed expression give the native command’s mask', options, async () => {
    const page = await visit(browser, { device: 'cpu', resolution: '128' });
    await choose(page, SAMPLE);
    await find(page, 'water');
    const mask = await page.evaluate(() => ({ width: results[0].width, height: results[0].height, mask: Array.from(results[0].mask) }));
    const native = await nativeMask(page, SAMPLE, 'water', ['--resolution', '128']);
    assert.deepEqual([mask.width, mask.height], [native.width, native.height]);
    const overlap = iou(mask.mask, native.mask);
    assert.ok(overlap >= 0.99, `IoU ${overlap}`);
    await page.screenshot({ path: join(OUTPUT, 'firefox.png') });
    assert.deepEqual(page.complaints, []);
    await page.close();
  });

  test('WebGPU where it has one, else the CPU with a note; weights are kept; other forms of images; a PNG', options, async () => {
    const page = await visit(browser, { resolution: '64' });
    const outcome = await page.evaluate(async () => {
      const element = document.querySelector('rrsis-segment');
      const address = new URL('samples/rotterdam-quay.jpg', document.baseURI).href;
      const blob = await (await fetch(address)).blob();
      const image = Object.assign(new Image(), { src: address });
      const first = await element.segment(blob, 'water');
      const sizes = [];
      for (const source of [address, image, await createImageBitmap(blob)]) sizes.push((await element.segment(source, 'water')).mask.length);
      const cache = await caches.open('rrsis-weights-v1');
      for (let wait = 0; wait < 200 && (await cache.keys()).length < 3; wait += 1) await new Promise((resolve) => setTimeout(resolve, 50));
      return { device: first.device, note: element.shadowRoot.querySelector('.note').textContent, sizes, kept: (await cache.keys()).length };
    });
    assert.ok(outcome.device === 'webgpu' || /^Running on the CPU: /.test(outcome.note), JSON.stringify(outcome));
    assert.deepEqual(outcome.sizes, [240_000, 240_000, 240_000]);
    assert.equal(outcome.kept, 3);
    await page.close();
  });

  test('keyboard: samples, text, zoom, and the probability under a point', options, async () => {
    const page = await visit(browser, { device: 'cpu', resolution: '64' });
    await page.waitForFunction(() => document.querySelector('rrsis-segment').querySelector('.sample') ?? document.querySelector('rrsis-segment').shadowRoot.querySelector('.sample'));
    const focused = () => page.evaluate(() => document.querySelector('rrsis-segment').shadowRoot.activeElement?.classList[0]);
    for (let press = 0; press < 20 && (await focused()) !== 'sample'; press += 1) await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => !document.querySelector('rrsis-segment').shadowRoot.querySelector('.view').hidden);
    await find(page, 'water');
    await page.evaluate(() => document.querySelector('rrsis-segment').shadowRoot.querySelector('.view').focus());
    await page.keyboard.press('+');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowDown');
    const readout = await page.evaluate(() => document.querySelector('rrsis-segment').shadowRoot.querySelector('.readout').textContent);
    assert.match(readout, /^water \d+ % · \d+, \d+$/);
    await page.waitForFunction(() => /^water \d+ % at \d+, \d+$/.test(document.querySelector('rrsis-segment').shadowRoot.querySelector('#announcer').textContent));
    await page.close();
  });

  test('a GeoTIFF is shown and measured', options, async () => {
    const page = await visit(browser, { device: 'cpu', resolution: '64' });
    await choose(page, GEOTIFF);
    await find(page, 'vegetation');
    const { gsd, ink } = await page.evaluate(() => {
      const root = document.querySelector('rrsis-segment').shadowRoot;
      const canvas = root.querySelector('.picture');
      return { gsd: root.querySelector('.gsd').value, ink: new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size };
    });
    assert.ok(Number(gsd) > 0 && ink > 20);
    await page.close();
  });

  test('cancelling, and the next run', options, async () => {
    const page = await visit(browser, { device: 'cpu' });
    const outcome = await page.evaluate(async () => {
      const element = document.querySelector('rrsis-segment');
      const address = new URL('samples/rotterdam-quay.jpg', document.baseURI).href;
      await element.load();
      const abort = new AbortController();
      const first = element.segment(address, 'building', { signal: abort.signal });
      await new Promise((resolve) => element.addEventListener('progress', ({ detail }) => detail.stage === 'running' && resolve()));
      abort.abort();
      const name = await first.then(() => 'a result', (error) => error.name);
      element.resolution = 64;
      const { mask } = await element.segment(address, 'water');
      return { name, pixels: mask.length };
    });
    assert.deepEqual(outcome, { name: 'AbortError', pixels: 240_000 });
    await page.close();
  });
});

describe('Firefox, private windows only', () => {
  test('without storage that lasts it works the same', options, async () => {
    const browser = await open({ 'browser.privatebrowsing.autostart': true });
    try {
      const page = await visit(browser, { device: 'cpu', resolution: '64' });
      await choose(page, SAMPLE);
      await find(page, 'water');
      await page.waitForFunction(() => document.getElementById('kept').textContent.length > 20);
      assert.deepEqual(page.complaints, []);
      await page.close();
    } finally {
      await browser.close();
    }
  });
});
