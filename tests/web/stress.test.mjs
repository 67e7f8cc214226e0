// Many calls at once, connections that break, elements that go away.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { MODEL, SITE, SLOW, drop, find, launch, openPage, state, status, waitForPicture } from './harness.mjs';

const SAMPLE_URL = new URL('samples/rotterdam-streets.jpg', SITE).href;
const ATTRIBUTES = { device: 'cpu', resolution: '64' };

/** A host of the model, on another origin, that breaks connections as `misbehave` says. */
async function modelHost(misbehave) {
  const requests = [];
  const server = createServer((request, response) => {
    const name = request.url.split('/').at(-1);
    const { range } = request.headers;
    if (request.method === 'OPTIONS') {
      response.writeHead(204, { 'access-control-allow-origin': '*', 'access-control-allow-headers': '*' }).end();
      return;
    }
    requests.push({ name, range });
    const content = readFileSync(join(MODEL, name));
    const { parts = true, cut } = misbehave(name, requests.filter((one) => one.name === name).length);
    const start = parts && range ? Number(range.match(/\d+/)[0]) : 0;
    const headers = { 'access-control-allow-origin': '*', 'content-length': content.length - start };
    if (start) headers['content-range'] = `bytes ${start}-${content.length - 1}/${content.length}`;
    // Only then may a script of another origin read it.
    headers['access-control-expose-headers'] = 'content-range';
    response.writeHead(start ? 206 : 200, headers);
    if (cut) response.write(content.subarray(start, start + cut), () => setTimeout(() => response.destroy(), 100));
    else response.end(content.subarray(start));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${server.address().port}/`, requests, close: () => server.close() };
}

const segmentFrom = (page, model) =>
  page.evaluate(
    async ({ model, address }) => {
      const { createSegmenter } = await import('./engine.js');
      const segmenter = createSegmenter({ model, device: 'cpu', resolution: 64 });
      const loaded = [];
      segmenter.addEventListener('progress', ({ detail }) => detail.stage === 'download' && loaded.push(detail.loaded));
      try {
        const { mask } = await segmenter.segment(address, 'vegetation');
        return { pixels: mask.length, loaded };
      } catch ({ code, message }) {
        return { code, message };
      } finally {
        segmenter.close();
      }
    },
    { model, address: SAMPLE_URL },
  );
const kept = (page) => page.evaluate(async () => (await (await caches.open('rrsis-weights-v1')).keys()).length);

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

  test('a connection that breaks is taken up where it broke', { timeout: SLOW }, async () => {
    const host = await modelHost((name, attempt) => ({ cut: name === 'vision.bpk' && attempt <= 2 ? 3_000_000 : undefined }));
    const page = await openPage(browser, { attributes: ATTRIBUTES });
    const { pixels, loaded, message } = await segmentFrom(page, host.url);
    assert.ok(pixels > 0, message);
    const asked = host.requests.filter(({ name }) => name === 'vision.bpk').map(({ range }) => range);
    assert.equal(asked.length, 3);
    assert.equal(asked[0], undefined);
    const [second, third] = asked.slice(1).map((range) => Number(range.match(/^bytes=(\d+)-$/)[1]));
    assert.ok(second > 0 && second <= 3_000_000 && third > second, asked.join(' '));
    assert.ok(loaded.every((bytes, i) => i === 0 || bytes >= loaded[i - 1]), 'progress never goes back');
    await page.context().close();
    host.close();
  });

  test('a host that gives no parts is asked for the whole again', { timeout: SLOW }, async () => {
    const host = await modelHost((name, attempt) => ({ parts: false, cut: name === 'vision.bpk' && attempt === 1 ? 3_000_000 : undefined }));
    const page = await openPage(browser, { attributes: ATTRIBUTES });
    const { pixels, message } = await segmentFrom(page, host.url);
    assert.ok(pixels > 0, message);
    await page.context().close();
    host.close();
  });

  test('a connection that always breaks is given up with a message, and half a file is never kept', { timeout: SLOW }, async () => {
    const host = await modelHost((name) => ({ parts: false, cut: name === 'vision.bpk' ? 1_000_000 : undefined }));
    const page = await openPage(browser, { attributes: ATTRIBUTES });
    const { code, message } = await segmentFrom(page, host.url);
    assert.equal(code, 'shard');
    assert.match(message, /vision\.bpk broke off after \d+ of \d+ bytes, 4 times/);
    assert.ok((await kept(page)) <= 2, 'the tokenizer and the text part at most');
    await page.context().close();
    host.close();
  });

  test('a cache that is refused, or full, means memory only', { timeout: SLOW }, async () => {
    for (const trouble of ['open', 'put']) {
      const page = await openPage(browser, {
        attributes: ATTRIBUTES,
        prepare: (page) =>
          page.context().route('**/lib/shard-cache.js', async (route) => {
            const response = await route.fetch();
            const refusal = "new DOMException('Quota exceeded', 'QuotaExceededError')";
            const broken =
              trouble === 'open'
                ? `self.caches.open = () => Promise.reject(${refusal});`
                : `Cache.prototype.put = () => Promise.reject(${refusal});`;
            await route.fulfill({ response, body: `${broken}\n${await response.text()}` });
          }),
      });
      await drop(page, { address: SAMPLE_URL, name: 'streets.jpg' });
      await waitForPicture(page);
      await find(page, 'vegetation');
      assert.equal(await state(page), 'done', await status(page));
      assert.deepEqual(page.complaints, []);
      await page.context().close();
    }
  });
});
