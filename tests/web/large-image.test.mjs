// An image of 10,000 x 10,000 pixels: read, shown, computed in tiles, cancelled, zoomed and saved
// within the memory that docs/widget.md states.

import assert from 'node:assert/strict';
import { copyFileSync, readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { inflateSync } from 'node:zlib';
import { join } from 'node:path';
import { OUTPUT, SITE, SLOW, find, input, launch, memoryOf, openPage, state, status, waitForState } from './harness.mjs';

const SIDE = 10_000;
/** What docs/widget.md states for the process of the page. */
const MOST_BYTES = 2.5e9;
/** Where the command and the page put the tiles of 768 pixels that cover it (src/image/tiles.rs). */
const TILE = 768;
const STARTS = Array.from({ length: 15 }, (_, index) => Math.floor((index * (SIDE - TILE) + 7) / 14));
const part = (page, name) => page.locator(`rrsis-segment ${name}`);

/** Three samples in turns, as a JPEG file. One begins where each tile does, so that every third tile shows the same. */
async function mosaic(browser) {
  const page = await (await browser.newContext()).newPage();
  await page.goto(SITE);
  const [file] = await Promise.all([
    page.waitForEvent('download', { timeout: SLOW }),
    page.evaluate(async ({ side, starts, tile }) => {
      const canvas = new OffscreenCanvas(side, side);
      const context = canvas.getContext('2d');
      const images = await Promise.all(
        ['rotterdam-streets', 'rotterdam-quay', 'florida-trees'].map(async (name) => createImageBitmap(await (await fetch(`samples/${name}.jpg`)).blob())),
      );
      starts.forEach((y, row) => {
        starts.forEach((x, column) => {
          const image = images[(row + column) % images.length];
          const square = Math.min(image.width, image.height);
          context.drawImage(image, 0, 0, square, square, x, y, tile, tile);
        });
      });
      const link = document.createElement('a');
      link.href = URL.createObjectURL(await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.8 }));
      link.download = 'mosaic.jpg';
      link.click();
    }, { side: SIDE, starts: STARTS, tile: TILE }),
  ]);
  const path = join(OUTPUT, 'mosaic.jpg');
  copyFileSync(await file.path(), path);
  await page.context().close();
  return path;
}

describe('10,000 x 10,000 pixels', () => {
  let browser;
  let image;
  before(async () => {
    const maker = await launch();
    image = await mosaic(maker);
    await maker.close();
    browser = await launch();
  }, { timeout: SLOW });
  after(() => browser?.close());

  test('are read, computed in tiles, cancelled, zoomed and saved within stated memory', { timeout: 2 * SLOW }, async (t) => {
    const page = await openPage(browser, { attributes: { device: 'cpu', resolution: '64' }, viewport: { width: 1280, height: 900 } });
    const took = async (what, work) => {
      const start = performance.now();
      await work();
      const peak = memoryOf(browser)?.renderer?.peak;
      t.diagnostic(`${what}: ${((performance.now() - start) / 1000).toFixed(1)} s${peak ? `, at most ${Math.round(peak / 1e6)} MB so far` : ''}`);
    };
    await took('shown', async () => {
      await part(page, '.file').setInputFiles(image);
      await part(page, '.view').waitFor();
    });
    const shown = await part(page, '.picture').evaluate(({ width, height }) => [width, height]);
    assert.ok(Math.max(...shown) <= 2048, `the canvas has ${shown} pixels`);

    // Cancelled while it is decoded, and between two tiles.
    await waitForState(page, 'idle', 'ready');
    for (const moment of [() => true, () => progress.some(({ tile }) => tile >= 3)]) {
      await page.evaluate(() => progress.splice(0));
      await input(page).fill('building');
      await input(page).press('Enter');
      await page.waitForFunction(() => progress.some(({ stage }) => stage === 'running'));
      await page.waitForFunction(moment, null, { timeout: SLOW });
      const start = performance.now();
      await part(page, '.run').click();
      await waitForState(page, 'idle', 'ready');
      const wait = performance.now() - start;
      assert.ok(wait < 2000, `${wait} ms until the page is free`);
    }
    assert.equal(await page.evaluate(() => results.length), 0);

    await page.evaluate(() => progress.splice(0));
    let said = '';
    await took('segmented', async () => {
      const watching = page.waitForFunction(
        () => /: \d+ of \d+ parts, about .* left/.test(document.querySelector('rrsis-segment').shadowRoot.querySelector('.progress-text').textContent) &&
          document.querySelector('rrsis-segment').shadowRoot.querySelector('.progress-text').textContent,
        null, { timeout: SLOW },
      );
      await find(page, 'vegetation');
      // A quick machine is done before there is anything to say.
      said = await Promise.race([watching.then((handle) => handle.jsonValue(), () => ''), new Promise((resolve) => setTimeout(resolve, 1000, ''))]);
    });
    assert.equal(await state(page), 'done', await status(page));
    const { width, height, pixels, tiles } = await page.evaluate(() => {
      const { width, height, mask } = results[0];
      return { width, height, pixels: mask.length, tiles: progress.filter(({ tile }) => tile).map(({ tile, tiles }) => [tile, tiles]) };
    });
    assert.deepEqual([width, height, pixels], [SIDE, SIDE, SIDE * SIDE]);
    const count = tiles[0][1];
    assert.equal(count, 225);
    assert.deepEqual(tiles.map(([tile]) => tile), Array.from({ length: count - 1 }, (_, i) => i + 1), 'every tile is told');
    t.diagnostic(`said meanwhile: ${said}`);
    await page.waitForFunction(() => document.querySelector('rrsis-segment').found[0].regions > 0, null, { timeout: SLOW });

    // Each tile's mask lies where the tile does: tiles that show the same have the same share, others another.
    const shares = await page.evaluate(({ starts, cells }) => {
      const { mask, width } = results[0];
      return cells.map(([row, column]) => {
        let sum = 0;
        for (let y = 0; y < 650; y += 1) for (let x = 0; x < 650; x += 1) sum += mask[(starts[row] + y) * width + starts[column] + x];
        return sum / 650 ** 2;
      });
    }, { starts: STARTS, cells: [[3, 3], [7, 8], [2, 13], [3, 4], [8, 8], [13, 6], [3, 5], [8, 9], [1, 13]] });
    assert.ok(shares.every((share) => share > 0.02), shares.join(' '));
    for (const first of [0, 3, 6]) {
      const alike = shares.slice(first, first + 3);
      // Not the same to the pixel: at this resolution what lies beside a tile reaches far into it.
      assert.ok(Math.max(...alike) - Math.min(...alike) < 0.1, shares.join(' '));
    }
    assert.ok(Math.max(...shares) - Math.min(...shares) > 0.3, shares.join(' '));

    // Zoom and pan set transforms and draw nothing.
    const frames = await page.evaluate(async () => {
      const root = document.querySelector('rrsis-segment').shadowRoot;
      const drawn = [];
      for (const method of ['drawImage', 'putImageData']) {
        const original = CanvasRenderingContext2D.prototype[method];
        CanvasRenderingContext2D.prototype[method] = function (...all) {
          drawn.push(method);
          return original.apply(this, all);
        };
      }
      const view = root.querySelector('.view');
      const gaps = [];
      let last = performance.now();
      for (let step = 0; step < 60; step += 1) {
        if (step % 12 === 0) root.querySelector(step % 24 ? '.zoom-out' : '.zoom-in').click();
        view.dispatchEvent(new WheelEvent('wheel', { deltaY: step < 30 ? -60 : 60, ctrlKey: true, bubbles: true, cancelable: true, clientX: 400 + step, clientY: 300 }));
        const now = await new Promise(requestAnimationFrame);
        gaps.push(now - last);
        last = now;
      }
      return { drawn, median: gaps.toSorted((a, b) => a - b)[30], longest: Math.max(...gaps) };
    });
    t.diagnostic(`zooming: a frame every ${frames.median.toFixed(0)} ms, the longest after ${frames.longest.toFixed(0)} ms`);
    assert.deepEqual(frames.drawn, []);

    await took('another threshold', async () => {
      await part(page, '.threshold').fill('70');
      await page.waitForFunction(() => document.querySelector('rrsis-segment').found[0].threshold === 0.7 && document.querySelector('rrsis-segment').found[0].regions !== undefined, null, { timeout: SLOW });
    });
    await took('saved as PNG', async () => {
      await part(page, '.save summary').click();
      const [file] = await Promise.all([page.waitForEvent('download', { timeout: SLOW }), part(page, '[data-save="mask"]').click()]);
      const png = readFileSync(await file.path());
      assert.deepEqual([png.readUInt32BE(16), png.readUInt32BE(20)], [SIDE, SIDE]);
      const length = png.readUInt32BE(33);
      const rows = inflateSync(png.subarray(41, 41 + length));
      assert.equal(rows.length, SIDE * (SIDE + 1));
      const set = rows.reduce((sum, value) => sum + (value === 255), 0);
      const share = await page.evaluate(() => document.querySelector('rrsis-segment').found[0].share);
      assert.equal(set / (SIDE * SIDE), share);
    });

    const memory = memoryOf(browser);
    if (!memory) t.diagnostic('no /proc here: the memory was not measured');
    else {
      for (const [kind, { peak }] of Object.entries(memory)) t.diagnostic(`peak of the largest ${kind}: ${Math.round(peak / 1e6)} MB`);
      assert.ok(memory.renderer.peak < MOST_BYTES, `${memory.renderer.peak} bytes`);
    }
    await page.context().close();
  });
});
