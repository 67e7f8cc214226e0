// Whatever goes wrong is said in a sentence, nothing is lost, and the next good run works.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  DIST, PROGRAM, SITE, SLOW, drop, find, input, lastError, launch, openPage, state, status, waitForPicture, waitForState,
} from './harness.mjs';
import { blackPng } from './images.mjs';

const SAMPLE = 'rotterdam-quay.jpg';
const SAMPLE_URL = new URL(`samples/${SAMPLE}`, SITE).href;
const sample = readFileSync(join(DIST, 'samples', SAMPLE));
const attributes = { device: 'cpu', resolution: '64' };

describe('bad input', () => {
  let browser;
  before(async () => (browser = await launch()));
  after(() => browser?.close());

  const goodRunWorks = async (page) => {
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await waitForPicture(page);
    await find(page, 'water');
    assert.equal(await state(page), 'done', await status(page));
  };

  test('files that are no image are refused, and image, mask and text stay', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes });
    await goodRunWorks(page);
    for (const [name, bytes, message] of [
      ['notes.txt', Buffer.from('these are notes, not pixels'), /not an image/],
      ['empty.png', Buffer.alloc(0), /empty \(0 bytes\)/],
      ['huge.png', blackPng(20_000, 20_000), /20000 x 20000 pixels; at most/],
    ]) {
      await drop(page, { bytes, name });
      await waitForState(page, 'error');
      assert.match(await status(page), message);
      assert.equal((await lastError(page)).code, 'image');
      assert.ok(await page.locator('rrsis-segment .picture').isVisible(), 'the image before it is still there');
      assert.ok(await page.locator('rrsis-segment .result').isVisible(), 'and its mask');
      assert.equal(await input(page).inputValue(), 'water');
      await find(page, 'water');
      assert.equal(await state(page), 'done', await status(page));
    }
    await page.context().close();
  });

  test('a truncated image is refused, and the next one works', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes });
    await drop(page, { bytes: sample.subarray(0, sample.length / 2), name: 'half.jpg' });
    await page.waitForFunction(() => errors.length > 0 || !document.querySelector('rrsis-segment').shadowRoot.querySelector('.view').hidden);
    // A browser may show the half of it that is there; then the run is refused.
    if ((await page.evaluate(() => errors.length)) === 0) await find(page, 'water');
    assert.equal(await state(page), 'error');
    assert.equal((await lastError(page)).code, 'image');
    assert.match(await status(page), /cut short|damaged|truncated/i);
    await goodRunWorks(page);
    await page.context().close();
  });

  test('the method rejects for every kind of bad image', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes });
    const outcomes = await page.evaluate(async (address) => {
      const element = document.querySelector('rrsis-segment');
      const tried = [new Blob(['no pixels']), new Blob([]), 'samples/none.jpg', 'http://images.example/a.jpg', 7];
      const outcomes = [];
      for (const image of tried) {
        outcomes.push(await element.segment(image, 'water').then(() => 'a mask', (error) => error.code));
      }
      outcomes.push(await element.segment(address, 'water').then(({ mask }) => mask.length));
      return outcomes;
    }, SAMPLE_URL);
    assert.deepEqual(outcomes, ['image', 'image', 'image', 'image', 'image', 240_000]);
    await page.context().close();
  });

  test('an image of 20,000 columns gives a mask of 20,000 columns', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes });
    await drop(page, { bytes: blackPng(20_000, 200), name: 'strip.png' });
    await waitForPicture(page);
    await find(page, 'water');
    assert.equal(await state(page), 'done', await status(page));
    const size = await page.evaluate(() => [results[0].width, results[0].height, results[0].mask.length]);
    assert.deepEqual(size, [20_000, 200, 4_000_000]);
    await page.context().close();
  });

  test('empty and endless expressions are refused, and the text stays', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes });
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await waitForPicture(page);
    for (const [expression, message] of [
      ['', /empty/],
      ['   ', /empty/],
      ['\u200b', /empty/],
      ['water '.repeat(1667).slice(0, 10_000), /10000 characters/],
    ]) {
      await find(page, expression);
      assert.equal(await state(page), 'error');
      assert.equal((await lastError(page)).code, 'expression');
      assert.match(await status(page), message);
      assert.equal(await input(page).inputValue(), expression);
      assert.ok(await page.locator('rrsis-segment .picture').isVisible());
    }
    await find(page, 'water');
    assert.equal(await state(page), 'done', await status(page));
    await page.context().close();
  });

  test('an expression that is cut off gives a mask and a note', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes });
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await waitForPicture(page);
    await find(page, 'the water '.repeat(20).trim());
    assert.equal(await state(page), 'done', await status(page));
    assert.match(await page.locator('rrsis-segment .note').textContent(), /longer than the network reads/);
    await page.context().close();
  });

  test('text that looks like markup is shown as text', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes });
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await waitForPicture(page);
    await find(page, '<img src=x onerror=alert(1)> water');
    assert.equal(await state(page), 'done', await status(page));
    assert.match(await status(page), /<img src=x/);
    assert.equal(await page.locator('rrsis-segment .summary img').count(), 0);
    await page.context().close();
  });

  for (const [what, answer, message] of [
    ['is missing', { status: 404, contentType: 'text/plain', body: 'no' }, /\/vision\.bpk .*404/],
    ['is a web page', { status: 200, contentType: 'text/html', body: '<!doctype html><title>Home</title>' }, /\/vision\.bpk .*web page/],
    ['is cut short', { status: 200, contentType: 'application/octet-stream', body: 'short' }, /\/vision\.bpk is incomplete: 5 of \d+ bytes/],
  ]) {
    test(`a shard that ${what} is named, and a later try works`, { timeout: SLOW }, async () => {
      const page = await openPage(browser, {
        attributes,
        prepare: (page) => page.route('**/vision.bpk', (route) => route.fulfill(answer)),
      });
      await drop(page, { address: SAMPLE_URL, name: SAMPLE });
      await waitForState(page, 'error');
      await find(page, 'water');
      assert.equal(await state(page), 'error');
      assert.equal((await lastError(page)).code, 'shard');
      assert.match(await status(page), message);
      assert.ok(await page.locator('rrsis-segment .picture').isVisible());
      await page.unroute('**/vision.bpk');
      await find(page, 'water');
      assert.equal(await state(page), 'done', await status(page));
      await page.context().close();
    });
  }

  test('a shard with one flipped bit is refused by its hash', { timeout: SLOW }, async () => {
    const shard = readFileSync(join(DIST, 'models', 'rrsis-small', 'vision.bpk'));
    shard[shard.length >> 1] ^= 1;
    const page = await openPage(browser, {
      attributes,
      prepare: (page) =>
        page.route('**/vision.bpk', (route) =>
          route.fulfill({ status: 200, contentType: 'application/octet-stream', body: shard }),
        ),
    });
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await waitForState(page, 'error');
    await find(page, 'water');
    assert.equal(await state(page), 'error');
    assert.equal((await lastError(page)).code, 'shard');
    assert.match(await status(page), /vision\.bpk.*SHA-256/);
    await page.unroute('**/vision.bpk');
    await find(page, 'water');
    assert.equal(await state(page), 'done', await status(page));
    await page.context().close();
  });

  test('a model address without a manifest says what it needs', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: { ...attributes, model: new URL('nowhere/', SITE).href } });
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await waitForState(page, 'error');
    assert.equal((await lastError(page)).code, 'manifest');
    assert.match(await status(page), /nowhere\/manifest\.json.*404/);
    await page.context().close();
  });

  test('a program that cannot be fetched is named, and a later try works', { timeout: SLOW }, async () => {
    const page = await openPage(browser, {
      attributes,
      prepare: (page) => page.route(`**/${PROGRAM.cpu}`, (route) => route.fulfill({ status: 503, body: '' })),
    });
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await waitForState(page, 'error');
    assert.match(await status(page), /rrsis_cpu_relaxed_bg\.wasm .*503/);
    await page.unroute(`**/${PROGRAM.cpu}`);
    await find(page, 'water');
    assert.equal(await state(page), 'done', await status(page));
    await page.context().close();
  });
});
