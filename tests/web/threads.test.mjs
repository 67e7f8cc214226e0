// Several threads on the CPU, in pages that are isolated from other origins.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ISOLATION, serveSite } from './hosts.mjs';
import { DIST, PROGRAM, SLOW, drop, find, iou, lastMask, launch, nativeMask, openPage, state, status } from './harness.mjs';

const SAMPLE = 'rotterdam-quay.jpg';
const attributes = { device: 'cpu', resolution: '128' };

const modules = (page) => page.requests.filter((url) => url.endsWith('.wasm')).map((url) => url.split('/').at(-1));

describe('threads', () => {
  let browser, site;
  /** What the host answers instead of helper.js. */
  let helper;
  before(async () => {
    browser = await launch();
    site = await serveSite((path) => (path === 'helper.js' && helper ? helper : { headers: ISOLATION }));
  });
  after(async () => {
    await browser?.close();
    site?.close();
  });

  const script = (body) => ({ body, headers: { ...ISOLATION, 'content-type': 'text/javascript' } });
  const open = (more = {}) => openPage(browser, { address: site.url, attributes: { ...attributes, ...more } });

  async function mask(page, expression = 'water') {
    await drop(page, { address: `${site.url}samples/${SAMPLE}`, name: SAMPLE });
    await find(page, expression);
    assert.equal(await state(page), 'done', await status(page));
    return lastMask(page);
  }

  test('threads: however many there are, the mask is the same, and the native command’s', { timeout: SLOW }, async () => {
    for (const precision of ['int8', 'f32']) {
      const masks = [];
      for (const [threads, module] of [['1', PROGRAM.cpu], ['2', PROGRAM.threads], ['5', PROGRAM.threads]]) {
        const page = await open({ precision, threads });
        const { mask: found } = await mask(page);
        assert.deepEqual(modules(page), [module]);
        masks.push(found);
        if (threads === '5') {
          const options = ['--resolution', attributes.resolution, '--precision', precision];
          const native = await nativeMask(page, join(DIST, 'samples', SAMPLE), 'water', options);
          assert.ok(iou(found, native.mask) >= 0.99, `${precision}: IoU ${iou(found, native.mask)}`);
          // What is kept of the image, and of the first task, must not disturb the next ones.
          const { mask: again } = await mask(page, 'building');
          assert.notDeepEqual(again, found);
          assert.deepEqual((await mask(page)).mask, found);
        }
        await page.context().close();
      }
      assert.ok(masks[0].some((pixel) => pixel === 1));
      assert.deepEqual(masks[1], masks[0]);
      assert.deepEqual(masks[2], masks[0]);
    }
  });

  test('threads: as many as the machine has, unless the page asks for fewer', { timeout: SLOW }, async () => {
    const page = await open();
    await mask(page);
    const cores = Math.min(8, await page.evaluate(() => navigator.hardwareConcurrency));
    assert.deepEqual(modules(page), [cores > 1 ? PROGRAM.threads : PROGRAM.cpu]);
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });

  test('threads: a number that makes no sense is refused before anything is downloaded', { timeout: SLOW }, async () => {
    const page = await open();
    for (const threads of [0, 1.5, -2, 'two', 65]) {
      const said = await page.evaluate(async (threads) => {
        const { createSegmenter } = await import('./engine.js');
        try {
          createSegmenter({ threads });
        } catch ({ code, message }) {
          return `${code}: ${message}`;
        }
      }, threads);
      assert.match(said ?? '', /^options: threads is .* from 1 to 64/);
    }
    assert.deepEqual(modules(page), []);
    await page.context().close();
  });

  test('threads: where helpers do not start, one thread does the work', { timeout: SLOW }, async () => {
    helper = script('throw new Error("no helpers here");');
    const page = await open({ threads: '3' });
    await mask(page);
    assert.deepEqual(modules(page), [PROGRAM.threads, PROGRAM.cpu]);
    await page.context().close();
    helper = undefined;
  });

  test('threads: a helper that stops ends the task with an error, and the next one starts afresh', { timeout: SLOW }, async () => {
    helper = script(readFileSync(join(DIST, 'helper.js'), 'utf8').replace('program.help', '() => { throw new Error("stopped on purpose"); }'));
    const page = await open({ threads: '3' });
    await drop(page, { address: `${site.url}samples/${SAMPLE}`, name: SAMPLE });
    await find(page, 'water');
    assert.equal(await state(page), 'error');
    assert.match(await status(page), /a helper stopped/);
    helper = undefined;
    await find(page, 'water');
    assert.equal(await state(page), 'done', await status(page));
    await page.context().close();
  });
});
