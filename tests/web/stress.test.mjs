// Many calls at once, many elements, many runs.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { SITE, SLOW, launch, openPage } from './harness.mjs';

const SAMPLE_URL = new URL('samples/rotterdam-streets.jpg', SITE).href;
const ATTRIBUTES = { device: 'cpu', resolution: '64' };


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
      let state = 12345;
      const random = () => (state = (state * 1_664_525 + 1_013_904_223) >>> 0) / 2 ** 32;
      const count = { right: 0, wrong: 0, cancelled: 0, failed: 0 };
      await Promise.all(
        Array.from({ length: 50 }, async () => {
          await new Promise((resolve) => setTimeout(resolve, random() * 2000));
          const expression = expressions[Math.floor(random() * expressions.length)];
          const abort = new AbortController();
          if (random() < 0.5) setTimeout(() => abort.abort(), random() * 1500);
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
});
