// Many calls at once, many elements, many runs.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { SITE, SLOW, inWorker, launch, memoryOf, openPage } from './harness.mjs';

const SAMPLE_URL = new URL('samples/rotterdam-streets.jpg', SITE).href;
const ATTRIBUTES = { device: 'cpu', resolution: '64' };


/** The memories of the program, where a test can read them. */
const KEEP_MEMORY = `
  self.memories = [];
  for (const way of ['instantiate', 'instantiateStreaming']) {
    const original = WebAssembly[way];
    WebAssembly[way] = async (...options) => {
      const made = await original(...options);
      self.memories.push((made.instance ?? made).exports.memory);
      return made;
    };
  }`;

describe('under stress', () => {
  let browser;
  before(async () => (browser = await launch()));
  after(() => browser?.close());

  test('50 overlapping calls with cancels at random moments: each gets its own answer', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: ATTRIBUTES });
    const outcome = await page.evaluate(async (address) => {
      const { createSegmenter } = await import('./engine.js');
      const segmenter = createSegmenter({ device: 'cpu', resolution: 64 });
      const blob = await (await fetch(address)).blob();
      const expressions = ['vegetation', 'building', 'road', 'water', 'car'];
      const print = ({ mask }) => mask.reduce((hash, value, at) => (value ? (hash * 31 + at) >>> 0 : hash), 7);
      const expected = {};
      for (const expression of expressions) expected[expression] = print(await segmenter.segment(blob, expression));
      // The moments follow the machine's speed: many calls wait for one another, and some are cancelled while they do.
      const begun = performance.now();
      for (const expression of expressions) await segmenter.segment(blob, expression);
      const one = (performance.now() - begun) / expressions.length;
      let state = 12345;
      const random = () => (state = (state * 1_664_525 + 1_013_904_223) >>> 0) / 2 ** 32;
      const count = { right: 0, wrong: 0, cancelled: 0, failed: 0 };
      await Promise.all(
        Array.from({ length: 50 }, async () => {
          await new Promise((resolve) => setTimeout(resolve, random() * 20 * one));
          const expression = expressions[Math.floor(random() * expressions.length)];
          const abort = new AbortController();
          if (random() < 0.5) setTimeout(() => abort.abort(), random() * 15 * one);
          try {
            const result = await segmenter.segment(blob, expression, { signal: abort.signal });
            count[print(result) === expected[expression] ? 'right' : 'wrong'] += 1;
          } catch (error) {
            count[error.name === 'AbortError' ? 'cancelled' : 'failed'] += 1;
          }
        }),
      );
      const after = print(await segmenter.segment(blob, 'vegetation')) === expected.vegetation;
      return { ...count, after, different: new Set(Object.values(expected)).size };
    }, SAMPLE_URL);
    assert.deepEqual([outcome.wrong, outcome.failed, outcome.after], [0, 0, true]);
    assert.ok(outcome.right >= 10 && outcome.cancelled >= 5 && outcome.different >= 3, JSON.stringify(outcome));
    assert.equal(outcome.right + outcome.cancelled, 50);
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });

  test('20 elements on a page share one worker; one that is removed while it runs harms nobody', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: ATTRIBUTES });
    const done = await page.evaluate(async (address) => {
      const elements = Array.from({ length: 20 }, () => {
        const element = Object.assign(document.createElement('rrsis-segment'), { device: 'cpu', resolution: 64 });
        document.querySelector('main').append(element);
        return element;
      });
      const runs = elements.map((element) => element.segment(address, 'vegetation').then(({ mask }) => mask.length, ({ name }) => name));
      elements[3].remove();
      elements[7].remove();
      const lengths = await Promise.all(runs.filter((_, i) => i !== 3 && i !== 7));
      return { lengths: [...new Set(lengths)], count: lengths.length };
    }, SAMPLE_URL);
    assert.equal(done.count, 18);
    assert.equal(done.lengths.length, 1);
    assert.ok(done.lengths[0] > 100_000);
    assert.equal(page.workers().length, 1);
    await page.context().close();
  });

  test('500 runs take no more memory than the first ones', { timeout: SLOW }, async (t) => {
    const page = await openPage(browser, {
      attributes: ATTRIBUTES,
      prepare: (page) => inWorker(page, KEEP_MEMORY),
    });
    await page.evaluate((address) => document.querySelector('rrsis-segment').segment(address, 'vegetation'), SAMPLE_URL);
    const devtools = await page.context().newCDPSession(page);
    const measure = async () => {
      await devtools.send('HeapProfiler.collectGarbage');
      const [worker] = page.workers();
      const wasm = await worker.evaluate(() => self.memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0));
      const { usedSize, backingStorageSize = 0 } = await devtools.send('Runtime.getHeapUsage');
      return { wasm, heap: usedSize + backingStorageSize, renderer: memoryOf(browser)?.renderer?.now ?? 0 };
    };
    const runs = (count) =>
      page.evaluate(
        async ({ address, count }) => {
          const element = document.querySelector('rrsis-segment');
          const expressions = ['vegetation', 'building', 'road', 'water'];
          // A picture of its own each time, so that nothing but the weights is kept from one to the next.
          for (let run = 0; run < count; run += 1) {
            const image = await (await fetch(address)).blob();
            await element.segment(image, expressions[run % expressions.length]);
          }
          return globalThis.results.splice(0).length;
        },
        { address: SAMPLE_URL, count },
      );
    await runs(50);
    const early = await measure();
    let done = 50;
    while (done < 500) done += await runs(50);
    const late = await measure();
    const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
    for (const what of ['wasm', 'heap', 'renderer']) t.diagnostic(`${what}: ${megabytes(early[what])} after 50 runs, ${megabytes(late[what])} after ${done}`);
    assert.equal(done, 500);
    assert.equal(page.workers().length, 1, 'one worker did it all');
    assert.equal(late.wasm, early.wasm, 'the memory of the program has not grown');
    assert.ok(late.heap - early.heap < 3e6, `the page’s heap grew by ${megabytes(late.heap - early.heap)}`);
    assert.ok(late.renderer - early.renderer < 60e6, `the process grew by ${megabytes(late.renderer - early.renderer)}`);
    await page.context().close();
  });
});
