// Hosts and caches of the weights that misbehave: said which file, never half a model, and a later try works.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { MANIFEST, MODEL, SITE, SLOW, drop, find, launch, openPage, state, status, waitForPicture } from './harness.mjs';
import { modelHost, segmentFrom } from './hosts.mjs';

const SAMPLE_URL = new URL('samples/rotterdam-streets.jpg', SITE).href;
const ATTRIBUTES = { device: 'cpu', resolution: '64' };

const kept = (page) => page.evaluate(async () => (await (await caches.open('rrsis-weights-v1')).keys()).length);
const heavy = (page) => page.requests.filter((url) => url.endsWith('.bpk')).map((url) => url.split('/').at(-1)).toSorted();
const manifestText = readFileSync(join(MODEL, 'manifest.json'), 'utf8');
const changed = (change) => {
  const manifest = JSON.parse(manifestText);
  change(manifest);
  return JSON.stringify(manifest);
};

/** Another run in a page that has its model. */
const runAgain = (page) => page.evaluate((address) => document.querySelector('rrsis-segment').segment(address, 'road'), SAMPLE_URL);

describe('weights', () => {
  let browser;
  before(async () => (browser = await launch()));
  after(() => browser?.close());

  test('a connection that breaks is taken up where it broke', { timeout: SLOW }, async () => {
    const host = await modelHost((name, attempt) => ({ cut: name === 'vision.bpk' && attempt <= 2 ? 3_000_000 : undefined }));
    const page = await openPage(browser, { attributes: ATTRIBUTES });
    const { pixels, loaded, message } = await segmentFrom(page, host.url, SAMPLE_URL);
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
    const { pixels, message } = await segmentFrom(page, host.url, SAMPLE_URL);
    assert.ok(pixels > 0, message);
    await page.context().close();
    host.close();
  });

  test('a connection that always breaks is given up with a message, and half a file is never kept', { timeout: SLOW }, async () => {
    const host = await modelHost((name) => ({ parts: false, cut: name === 'vision.bpk' ? 1_000_000 : undefined }));
    const page = await openPage(browser, { attributes: ATTRIBUTES });
    const { code, message } = await segmentFrom(page, host.url, SAMPLE_URL);
    assert.equal(code, 'shard');
    assert.match(message, /vision\.bpk broke off after \d+ of \d+ bytes, 4 times/);
    assert.ok((await kept(page)) <= 2, 'the tokenizer and the text part at most');
    await page.context().close();
    host.close();
  });

  test('a redirect is followed, to another host too', { timeout: SLOW }, async () => {
    const store = await modelHost(() => ({}));
    const host = await modelHost((name) => (name.endsWith('.bpk') ? { redirect: new URL(name, store.url).href } : {}));
    const page = await openPage(browser, { attributes: ATTRIBUTES });
    const { pixels, message } = await segmentFrom(page, host.url, SAMPLE_URL);
    assert.ok(pixels > 0, message);
    assert.deepEqual(store.requests.map(({ name }) => name).toSorted(), ['text.bpk', 'vision.bpk']);
    await page.context().close();
    host.close();
    store.close();
  });

  test('a redirect that goes round in circles is given up with a message', { timeout: SLOW }, async () => {
    const host = await modelHost((name) => (name === 'text.bpk' ? { redirect: `/${name}` } : {}));
    const page = await openPage(browser, { attributes: ATTRIBUTES });
    const { code, message } = await segmentFrom(page, host.url, SAMPLE_URL);
    assert.equal(code, 'shard');
    assert.match(message, /text\.bpk could not be downloaded/);
    await page.context().close();
    host.close();
  });

  test('the second half of a file comes from another version: refused by its hash', { timeout: SLOW }, async () => {
    const other = readFileSync(join(MODEL, 'vision.bpk'));
    for (let at = other.length >> 1; at < other.length; at += 4096) other[at] ^= 0xff;
    const host = await modelHost((name, attempt) => {
      if (name !== 'vision.bpk') return {};
      return attempt === 1 ? { cut: 3_000_000 } : { content: other };
    });
    const page = await openPage(browser, { attributes: ATTRIBUTES });
    const { code, message } = await segmentFrom(page, host.url, SAMPLE_URL);
    assert.equal(code, 'shard');
    assert.match(message, /vision\.bpk.*SHA-256/);
    assert.ok((await kept(page)) <= 2, 'it is not kept');
    await page.context().close();
    host.close();
  });

  for (const [what, answer, code, said] of [
    ['of a later version', { content: changed((manifest) => (manifest.version = 99)) }, 'manifest', /99/],
    ['that is no JSON', { content: '<!doctype html>' }, 'manifest', /not a list of files/],
    ['that is another JSON', { content: '[1, 2]' }, 'manifest', /not a list of files/],
    ['cut in the middle', { content: manifestText.slice(0, 500) }, 'manifest', /not a list of files/],
    ['without end', { endless: true }, 'manifest', /longer than 4 MB/],
    ['whose file has more bytes than any memory', { content: changed(({ files }) => (files[1].bytes = 2 ** 45)) }, 'manifest', /35184372088832 bytes, more than a browser can hold/],
    ['whose file has another length', { content: changed(({ files }) => (files.find(({ file }) => file === 'text.bpk').bytes -= 1)) }, 'shard', /text\.bpk is longer than/],
    ['whose hash is another', { content: changed(({ files }) => (files.find(({ file }) => file === 'text.bpk').sha256 = '0'.repeat(64))) }, 'shard', /text\.bpk.*SHA-256/],
    ['that names a file of another folder', { content: changed(({ files }) => (files[0].file = '../../secret.json')) }, 'manifest', /"\.\.\/\.\.\/secret\.json" is not a plain file name/],
    ['that names a file of another host', { content: changed(({ files }) => (files[0].file = 'https://images.example/secret.json')) }, 'manifest', /is not a plain file name/],
  ]) {
    test(`a manifest ${what} is refused in a sentence`, { timeout: SLOW }, async () => {
      const host = await modelHost((name) => (name === 'manifest.json' ? answer : {}));
      const page = await openPage(browser, { attributes: ATTRIBUTES });
      const outcome = await segmentFrom(page, host.url, SAMPLE_URL);
      assert.match(outcome.message ?? '', said);
      assert.equal(outcome.code, code);
      assert.ok(page.requests.every((url) => !url.includes('secret')), 'it is not even asked for');
      const good = await segmentFrom(page, undefined, SAMPLE_URL);
      assert.ok(good.pixels > 0, 'the page’s own model works');
      await page.context().close();
      host.close();
    });
  }

  test('a quota that is used up means memory only', { timeout: SLOW }, async () => {
    const context = await browser.newContext({ serviceWorkers: 'block' });
    const page = await openPage(browser, { context, attributes: ATTRIBUTES });
    const devtools = await context.newCDPSession(page);
    const origin = new URL(SITE).origin;
    await devtools.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 5_000_000 });
    const refused = await page.evaluate(() =>
      caches.open('probe').then((cache) => cache.put('/probe', new Response(new Uint8Array(10_000_000)))).then(() => 'kept', ({ name }) => name),
    );
    assert.equal(refused, 'QuotaExceededError', 'the quota is in force');
    await drop(page, { address: SAMPLE_URL, name: 'streets.jpg' });
    await waitForPicture(page);
    await find(page, 'vegetation');
    assert.equal(await state(page), 'done', await status(page));
    await page.waitForTimeout(500);
    assert.ok((await kept(page)) < MANIFEST.files.length);
    assert.deepEqual(page.complaints, []);
    await context.close();
  });

  test('a cache that was evicted between two visits is filled again', { timeout: SLOW }, async () => {
    const context = await browser.newContext({ serviceWorkers: 'block' });
    const visit = async (expected) => {
      const page = await openPage(browser, { context, attributes: ATTRIBUTES });
      await page.evaluate((address) => document.querySelector('rrsis-segment').segment(address, 'water'), SAMPLE_URL);
      assert.deepEqual(heavy(page), expected);
      while ((await kept(page)) < MANIFEST.files.length) await page.waitForTimeout(50);
      return page;
    };
    await (await visit(['text.bpk', 'vision.bpk'])).close();
    const page = await visit([]);
    // The browser takes all of it, or one file, whenever it likes; the open page has what it needs.
    const gone = MANIFEST.files.find(({ file }) => file === 'text.bpk');
    await page.evaluate(async (bytes) => {
      const cache = await caches.open('rrsis-weights-v1');
      for (const key of await cache.keys()) {
        if ((await (await cache.match(key)).blob()).size === bytes) await cache.delete(key);
      }
    }, gone.bytes);
    await runAgain(page);
    await page.close();
    await (await visit([gone.file])).close();
    const last = await openPage(browser, { context, attributes: ATTRIBUTES });
    await last.evaluate(() => caches.delete('rrsis-weights-v1'));
    await last.close();
    await (await visit(['text.bpk', 'vision.bpk'])).close();
    await context.close();
  });

  test('what is kept and damaged is fetched anew', { timeout: SLOW }, async () => {
    const context = await browser.newContext({ serviceWorkers: 'block' });
    const first = await openPage(browser, { context, attributes: ATTRIBUTES });
    await first.evaluate((address) => document.querySelector('rrsis-segment').segment(address, 'water'), SAMPLE_URL);
    while ((await kept(first)) < MANIFEST.files.length) await first.waitForTimeout(50);
    await first.evaluate(async () => {
      const cache = await caches.open('rrsis-weights-v1');
      for (const key of await cache.keys()) {
        const bytes = new Uint8Array(await (await cache.match(key)).arrayBuffer());
        bytes[bytes.length >> 1] ^= 1;
        await cache.put(key, new Response(bytes));
      }
    });
    await first.close();
    const page = await openPage(browser, { context, attributes: ATTRIBUTES });
    await page.evaluate((address) => document.querySelector('rrsis-segment').segment(address, 'water'), SAMPLE_URL);
    assert.deepEqual(heavy(page), ['text.bpk', 'vision.bpk']);
    await context.close();
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
