// Whatever goes wrong is said in a sentence, nothing is lost, and the next good run works.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DIST, SITE, SLOW, drop, find, input, launch, openPage, status, waitForState } from './harness.mjs';

const SAMPLE = 'rotterdam-harbour.jpg';
const SAMPLE_URL = new URL(`samples/${SAMPLE}`, SITE).href;
const sampleBytes = [...readFileSync(join(DIST, 'samples', SAMPLE))];
const attributes = { device: 'cpu', resolution: '64' };

describe('bad input', () => {
  let browser;
  before(async () => (browser = await launch()));
  after(() => browser?.close());

  const goodRunWorks = async (page) => {
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await find(page, 'water');
    assert.equal(await page.locator('rrsis-segment').getAttribute('state'), 'done', await status(page));
  };

  test('files that are no image keep the image that is shown', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes });
    await goodRunWorks(page);
    for (const [name, bytes, message] of [
      ['notes.txt', [...Buffer.from('these are notes, not pixels')], /not an image/],
      ['empty.png', [], /empty/],
    ]) {
      await drop(page, { bytes, name });
      await waitForState(page, 'error');
      assert.match(await status(page), message);
      assert.match(await status(page), new RegExp(name));
      assert.equal((await page.evaluate(() => errors.at(-1))).code, 'image');
      assert.ok(await page.locator('rrsis-segment .picture').isVisible(), 'the image before it is still there');
      await find(page, 'water');
      assert.equal(await page.locator('rrsis-segment').getAttribute('state'), 'done');
    }
    await page.context().close();
  });

  test('a truncated image is refused by name of the problem', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes });
    const message = await page.evaluate(async (bytes) => {
      const element = document.querySelector('rrsis-segment');
      const blob = new Blob([new Uint8Array(bytes)]);
      return element.segment(blob, 'water').then(() => 'a mask', (error) => `${error.code}: ${error.message}`);
    }, sampleBytes.slice(0, sampleBytes.length / 2));
    assert.match(message, /^image: .*(truncated|damaged|incomplete|cut)/i);
    await goodRunWorks(page);
    await page.context().close();
  });

  test('an image of 20,000 columns gives a mask of 20,000 columns', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes });
    const size = await page.evaluate(async () => {
      const canvas = Object.assign(document.createElement('canvas'), { width: 20000, height: 200 });
      const context = canvas.getContext('2d');
      context.fillStyle = '#284';
      context.fillRect(0, 0, 20000, 200);
      const blob = await new Promise((resolve) => canvas.toBlob(resolve, 'image/png'));
      const { width, height, mask } = await document.querySelector('rrsis-segment').segment(blob, 'water');
      return [width, height, mask.length];
    });
    assert.deepEqual(size, [20000, 200, 4_000_000]);
    await page.context().close();
  });

  test('empty and endless expressions are refused, and the text stays', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes });
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    for (const expression of ['', '   ', 'water '.repeat(1667)]) {
      await find(page, expression);
      assert.equal(await page.locator('rrsis-segment').getAttribute('state'), 'error');
      assert.equal((await page.evaluate(() => errors.at(-1))).code, 'expression');
      assert.equal(await input(page).inputValue(), expression);
    }
    await goodRunWorks(page);
    await page.context().close();
  });

  test('text that looks like markup is shown as text', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes });
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await find(page, '<img src=x onerror=alert(1)> water');
    assert.equal(await page.locator('rrsis-segment').getAttribute('state'), 'done', await status(page));
    assert.match(await status(page), /<img src=x/);
    assert.equal(await page.locator('rrsis-segment .status img').count(), 0);
    await page.context().close();
  });

  for (const [what, answer, message] of [
    ['is missing', { status: 404, contentType: 'text/plain', body: 'no' }, /vision\.bpk.*404/],
    ['is a web page', { status: 200, contentType: 'text/html', body: '<!doctype html><title>Not found</title>' }, /vision\.bpk.*web page|web page.*vision\.bpk/],
    ['is cut short', { status: 200, contentType: 'application/octet-stream', body: 'short' }, /vision\.bpk.*bytes/],
  ]) {
    test(`a shard that ${what} is named, and a later try works`, { timeout: SLOW }, async () => {
      const page = await openPage(browser, {
        attributes,
        prepare: (page) => page.route('**/vision.bpk', (route) => route.fulfill(answer)),
      });
      await drop(page, { address: SAMPLE_URL, name: SAMPLE });
      await find(page, 'water');
      assert.equal(await page.locator('rrsis-segment').getAttribute('state'), 'error');
      assert.equal((await page.evaluate(() => errors.at(-1))).code, 'shard');
      assert.match(await status(page), message);
      await page.unroute('**/vision.bpk');
      await goodRunWorks(page);
      await page.context().close();
    });
  }

  test('a shard with one flipped bit is refused by its hash', { timeout: SLOW }, async () => {
    const shard = readFileSync(join(DIST, 'models', 'rrsis-small', 'vision.bpk'));
    shard[shard.length >> 1] ^= 1;
    const page = await openPage(browser, {
      attributes,
      prepare: (page) => page.route('**/vision.bpk', (route) => route.fulfill({ status: 200, contentType: 'application/octet-stream', body: shard })),
    });
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await find(page, 'water');
    assert.equal(await page.locator('rrsis-segment').getAttribute('state'), 'error');
    assert.match(await status(page), /vision\.bpk.*SHA-256/);
    await page.unroute('**/vision.bpk');
    await goodRunWorks(page);
    await page.context().close();
  });

  test('a model address without a manifest says what it needs', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: { ...attributes, model: new URL('nowhere/', SITE).href } });
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await find(page, 'water');
    assert.equal((await page.evaluate(() => errors.at(-1))).code, 'manifest');
    assert.match(await status(page), /nowhere\/manifest\.json.*404/);
    await page.context().close();
  });
});
