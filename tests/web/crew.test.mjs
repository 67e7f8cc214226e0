// Other workers that compute tiles of a large image, in pages that are not isolated from other origins.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { serveSite } from './hosts.mjs';
import { DIST, PROGRAM, SLOW, launch, openPage } from './harness.mjs';

const script = (name, change) => ({
  body: change(readFileSync(join(DIST, name), 'utf8')),
  headers: { 'content-type': 'text/javascript' },
});

/** What is written in `text` once, replaced. */
function replaced(text, from, to) {
  assert.equal(text.split(from).length, 2, `${from} is there once`);
  return text.replace(from, to);
}

/** A helper that was started is ready then. */
const READY_MS = 5000;

describe('crew', () => {
  let browser, site;
  /** Files that the host answers with others, by name. */
  let changed = {};
  /** Paths that were asked for. */
  let paths = [];
  before(async () => {
    browser = await launch();
    site = await serveSite((path) => {
      paths.push(path);
      if (path.startsWith('told/')) return { body: '' };
      return changed[path]?.(paths.filter((one) => one === path).length);
    });
  });
  after(async () => {
    await browser?.close();
    site?.close();
  });

  /** Tells the host of every tile that somebody else has computed, or not. */
  const told = (what) => `fetch(new URL("../told/${what}", import.meta.url));`;
  const telling = () =>
    script('lib/crew.js', (text) =>
      replaced(
        replaced(text, '(margin) => this.#finished.push({ tile, margin })', `(margin) => { ${told('computed')} this.#finished.push({ tile, margin }); }`),
        'this.#finished.push({ tile });',
        `${told('given-up')} this.#finished.push({ tile });`,
      ));
  const count = (path) => paths.filter((one) => one === path).length;

  /** Opens a page with the weights kept, and gives what `segment` finds on a drawn image of 28 tiles. */
  async function open(attributes = {}) {
    const page = await openPage(browser, { address: site.url, attributes: { device: 'cpu', resolution: '128', ...attributes } });
    await page.evaluate(async () => {
      const canvas = new OffscreenCanvas(4500, 2600);
      const context = canvas.getContext('2d');
      const image = await createImageBitmap(await (await fetch('samples/rotterdam-quay.jpg')).blob());
      for (let y = 0; y < 2600; y += 520) for (let x = 0; x < 4500; x += 780) context.drawImage(image, x, y, 780, 520);
      globalThis.large = await canvas.convertToBlob({ type: 'image/png' });
      await document.querySelector('rrsis-segment').load();
      // Weights are kept in the background.
      while ((await (await caches.open('rrsis-weights-v1')).keys()).length < 3) await new Promise((resolve) => setTimeout(resolve, 50));
    });
    return page;
  }
  const segment = (page, expression = 'water') =>
    page.evaluate(async (expression) => {
      progress.splice(0);
      const start = performance.now();
      const { mask } = await document.querySelector('rrsis-segment').segment(large, expression);
      const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', mask));
      const tiles = progress.filter(({ tile }) => tile).map(({ tile }) => tile);
      return { hash: [...hash].join(' '), marked: mask.reduce((sum, value) => sum + value, 0), tiles, seconds: (performance.now() - start) / 1000 };
    }, expression);

  test('crew: others compute tiles, and the mask is the same as that of one', { timeout: SLOW }, async (t) => {
    const alone = await open({ threads: '1' });
    const expected = await segment(alone);
    assert.ok(expected.marked > 0);
    assert.equal(count('worker.js'), 1);
    await alone.context().close();

    changed = { 'lib/crew.js': telling };
    paths = [];
    const page = await open({ threads: '3' });
    // As on a machine with many cores.
    const cores = await page.evaluate(() => navigator.hardwareConcurrency);
    const first = await segment(page);
    await page.waitForTimeout(READY_MS);
    const second = await segment(page);
    for (const found of [first, second]) {
      assert.equal(found.hash, expected.hash);
      assert.deepEqual(found.tiles, Array.from({ length: expected.tiles.length }, (_, index) => index + 1), 'every tile is told, in order');
    }
    t.diagnostic(`${expected.tiles.length + 1} tiles: alone ${expected.seconds.toFixed(1)} s, then ${first.seconds.toFixed(1)} and ${second.seconds.toFixed(1)} s; ${count('told/computed')} computed by others`);
    if (cores > 1) assert.ok(count('told/computed') > 0, 'nobody helped');
    else t.diagnostic('one core: nobody helps');
    assert.equal(count(`pkg/${PROGRAM.cpu}`), cores > 2 ? 3 : cores);
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });

  test('crew: nobody is called for an image that has few tiles, or where one thread is asked for', { timeout: SLOW }, async () => {
    changed = {};
    paths = [];
    const page = await open();
    const { length } = await page.evaluate(async () => {
      const { mask } = await document.querySelector('rrsis-segment').segment('samples/rotterdam-quay.jpg', 'water');
      return mask;
    });
    assert.ok(length > 0);
    assert.equal(count('worker.js'), 1);
    await page.context().close();
  });

  test('crew: tiles of a helper that fails, at its start or later, are computed all the same', { timeout: SLOW }, async (t) => {
    const alone = await open({ threads: '1' });
    const expected = await segment(alone);
    await alone.context().close();
    const failing = {
      'its script is broken': (text) => `throw new Error("no helpers here");\n${text}`,
      'it refuses tiles': (text) => replaced(text, 'const value = await target.margin(side, rgb, expression);', 'throw new Error("refused");'),
      'it ends without a word': (text) => replaced(text, 'const value = await target.margin(side, rgb, expression);', 'self.close(); await new Promise(() => {});'),
      'it gives something else': (text) => replaced(text, 'const value = await target.margin(side, rgb, expression);', 'const value = new Float32Array(7);'),
    };
    for (const [why, change] of Object.entries(failing)) {
      paths = [];
      changed = { 'lib/crew.js': telling, 'worker.js': (times) => (times > 1 ? script('worker.js', change) : undefined) };
      const page = await open({ threads: '2' });
      assert.equal((await segment(page)).hash, expected.hash, why);
      await page.waitForTimeout(READY_MS);
      assert.equal((await segment(page)).hash, expected.hash, why);
      t.diagnostic(`${why}: ${count('told/computed')} came back, ${count('told/given-up')} given up`);
      const cores = await page.evaluate(() => navigator.hardwareConcurrency);
      if (cores > 1) {
        // Once more where it dies over the first of the two tiles that it has: the second one goes to another.
        const started = count('worker.js') - 1;
        assert.ok(started >= 1 && started <= 2, `${why}: it was started ${started} times`);
        assert.equal(count('told/given-up') + count('told/computed') > 0, !why.includes('script'), `${why}: it was given tiles`);
      }
      await page.context().close();
    }
  });

  test('crew: cancelled while others compute, the next mask is right', { timeout: SLOW }, async () => {
    changed = {};
    paths = [];
    const page = await open({ threads: '2' });
    const expected = await segment(page);
    await page.waitForTimeout(READY_MS);
    const outcome = await page.evaluate(async () => {
      const element = document.querySelector('rrsis-segment');
      const abort = new AbortController();
      progress.splice(0);
      const job = element.segment(large, 'building', { signal: abort.signal }).then(() => 'a result', (error) => error.name);
      while (!progress.some(({ tile }) => tile >= 3)) await new Promise((resolve) => setTimeout(resolve, 5));
      abort.abort();
      return job;
    });
    assert.equal(outcome, 'AbortError');
    assert.equal((await segment(page)).hash, expected.hash);
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });
});
