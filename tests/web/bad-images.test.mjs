// Hundreds of broken and nasty files, one after the other in one page: each gives a mask or a sentence
// within ten seconds and bounded memory, and good images work in between.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DIST, SITE, SLOW, launch, memoryOf, openPage } from './harness.mjs';
import { blackPng } from './images.mjs';

const GEOTIFFS = fileURLToPath(new URL('../goldens/geotiff/', import.meta.url));
const SAMPLE_URL = new URL('samples/thumbs/rotterdam-quay.jpg', SITE).href;
const GIF = Buffer.from('R0lGODlhAgACAPAAAP8AAAAA/yH/C05FVFNDQVBFMi4wAwEAAAAh+QQACgAAACwAAAAAAgACAAACAoRRACH5BAAKAAAALAAAAAACAAIAAAIChFEAOw==', 'base64');

/** A BMP of 24 bits. */
function bmp(width, height, bytes = width * height * 4) {
  const file = Buffer.alloc(54 + Math.min(bytes, 1 << 20), 0x55);
  file.write('BM');
  file.writeUInt32LE(file.length, 2);
  file.fill(0, 6, 54);
  file.writeUInt32LE(54, 10);
  file.writeUInt32LE(40, 14);
  file.writeInt32LE(width, 18);
  file.writeInt32LE(height, 22);
  file.writeUInt16LE(1, 26);
  file.writeUInt16LE(24, 28);
  return file;
}

/** A sample in the formats that the browser writes. */
const encoded = (page) =>
  page.evaluate(async (address) => {
    const bitmap = await createImageBitmap(await (await fetch(address)).blob());
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    canvas.getContext('2d').drawImage(bitmap, 0, 0);
    const files = {};
    for (const type of ['png', 'webp', 'jpeg']) {
      const blob = await canvas.convertToBlob({ type: `image/${type}` });
      files[type] = btoa(Array.from(new Uint8Array(await blob.arrayBuffer()), (byte) => String.fromCharCode(byte)).join(''));
    }
    return files;
  }, SAMPLE_URL);

function cases(files) {
  const made = [];
  const whole = Object.entries(files).map(([name, text]) => [name, Buffer.from(text, 'base64')]);
  whole.push(['gif', GIF], ['bmp', bmp(24, 16)], ['thumb', readFileSync(join(DIST, 'samples/thumbs/rotterdam-streets.jpg'))]);
  for (const name of readdirSync(GEOTIFFS).filter((name) => name.endsWith('.tif'))) whole.push([name, readFileSync(join(GEOTIFFS, name))]);
  let seed = 7;
  const random = (below) => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) % below;
  for (const [name, bytes] of whole) {
    for (let part = 0; part < 10; part += 1) made.push([`${name} cut at ${part} tenths`, bytes.subarray(0, Math.floor((part * bytes.length) / 10) + part)]);
    for (let change = 0; change < 10; change += 1) {
      const broken = Buffer.from(bytes);
      // The header is where sizes and offsets are.
      for (let i = 0; i < 3; i += 1) broken[random(change < 6 ? Math.min(120, bytes.length) : bytes.length)] ^= 1 << random(8);
      made.push([`${name} changed ${change}`, broken]);
    }
    made.push([`${name} behind rubbish`, Buffer.concat([Buffer.from('rubbish'), bytes])]);
    made.push([`${name} before rubbish`, Buffer.concat([bytes, Buffer.alloc(1000, 0xff)])]);
  }
  const png = Buffer.from(files.png, 'base64');
  for (const [width, height] of [[0, 0], [0, 10], [1, 2 ** 31 - 1], [2 ** 32 - 1, 2 ** 32 - 1], [65_535, 65_535], [11_000, 11_000]]) {
    const lying = Buffer.from(png);
    lying.writeUInt32BE(width, 16);
    lying.writeUInt32BE(height, 20);
    made.push([`PNG whose header says ${width} x ${height}`, lying]);
  }
  for (const [width, height] of [[1, 1], [1, 30_000], [30_000, 1], [2, 2], [20_000, 20_000], [100_000, 1500]]) made.push([`PNG of ${width} x ${height}`, blackPng(width, height)]);
  for (const [width, height] of [[-5, 5], [5, -5], [2 ** 30, 2 ** 30], [30_000, 30_000]]) made.push([`BMP of ${width} x ${height}`, bmp(width, height, 4096)]);
  made.push(['nothing', Buffer.alloc(0)], ['one byte', Buffer.from([0xff])], ['zeros', Buffer.alloc(100_000)]);
  made.push(['SVG', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9e9" height="9e9"><script>alert(1)</script></svg>')]);
  made.push(['HTML', Buffer.from('<!doctype html><title>404</title>')], ['PDF', Buffer.from('%PDF-1.7\n')], ['ZIP', Buffer.from('PK\x03\x04')]);
  return made;
}

describe('broken and nasty images', () => {
  let browser;
  before(async () => (browser = await launch()));
  after(() => browser?.close());

  test('each gives a mask or a sentence, and good ones work in between', { timeout: SLOW }, async (t) => {
    // One worker: some images have many tiles, for which others would be started.
    const page = await openPage(browser, { attributes: { device: 'cpu', resolution: '64', threads: '1' } });
    const files = cases(await encoded(page));
    assert.ok(files.length >= 200, `${files.length} files`);
    await page.evaluate((address) => document.querySelector('rrsis-segment').segment(address, 'water'), SAMPLE_URL);
    const good = await page.evaluate(() => results.at(-1).mask.length);
    const early = memoryOf(browser)?.renderer;
    const counts = { mask: 0, refused: 0 };
    let slowest = 0;
    for (let at = 0; at < files.length; at += 25) {
      const batch = files.slice(at, at + 25);
      const outcomes = await page.evaluate(
        async ({ batch, address }) => {
          const element = document.querySelector('rrsis-segment');
          const outcomes = [];
          for (const [name, text] of batch) {
            const file = new File([Uint8Array.from(atob(text), (character) => character.charCodeAt(0))], name);
            const start = performance.now();
            const outcome = await element.segment(file, 'water').then(
              ({ width, height, mask, margin, pixelMargins }) => ({
                pixels: mask.length === width * height && pixelMargins.length === mask.length && margin.data.every(Number.isFinite),
              }),
              ({ code, message }) => ({ code, message }),
            );
            outcomes.push({ name, ms: performance.now() - start, ...outcome });
          }
          const { mask } = await element.segment(address, 'water');
          return { outcomes, good: mask.length };
        },
        { batch: batch.map(([name, bytes]) => [name, bytes.toString('base64')]), address: SAMPLE_URL },
      );
      assert.equal(outcomes.good, good, 'the next good image works');
      for (const { name, ms, pixels, code, message } of outcomes.outcomes) {
        slowest = Math.max(slowest, ms);
        assert.ok(ms < 10_000, `${name}: ${ms} ms`);
        if (code) {
          assert.equal(code, 'image', `${name}: ${message}`);
          assert.match(message, /^[A-Z].{10,400}\.$/s, name);
          counts.refused += 1;
        } else {
          assert.equal(pixels, true, name);
          counts.mask += 1;
        }
      }
    }
    t.diagnostic(`${files.length} files: ${counts.mask} masks, ${counts.refused} refused, the slowest took ${(slowest / 1000).toFixed(1)} s`);
    assert.ok(counts.refused > 100 && counts.mask > 20);
    assert.equal(page.workers().length, 1, 'no worker had to be replaced');
    const late = memoryOf(browser)?.renderer;
    if (late) {
      t.diagnostic(`the page’s process: at most ${Math.round(late.peak / 1e6)} MB, before them ${Math.round(early.peak / 1e6)} MB`);
      assert.ok(late.peak < 1.8e9, `${late.peak} bytes`);
    }
    await page.context().close();
  });
});
