// Memory that is refused, workers that are killed: the work fails with a sentence, and the page stays
// usable without a reload.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { SITE, SLOW, drop, find, input, lastError, launch, openPage, state, status, waitForPicture } from './harness.mjs';
import { blackPng } from './images.mjs';

const SAMPLE = 'rotterdam-quay.jpg';
const SAMPLE_URL = new URL(`samples/${SAMPLE}`, SITE).href;

async function withSample(browser, attributes, prepare) {
  const page = await openPage(browser, { attributes, prepare });
  await drop(page, { address: SAMPLE_URL, name: SAMPLE });
  await waitForPicture(page);
  return page;
}

const works = async (page, expression = 'water') => {
  await find(page, expression);
  assert.equal(await state(page), 'done', await status(page));
};

/** Starts a run by keyboard and waits until the network runs. */
async function running(page, expression) {
  await page.evaluate(() => progress.splice(0));
  await input(page).fill(expression);
  await input(page).press('Enter');
  await page.waitForFunction(() => progress.some(({ stage }) => stage === 'running'), null, { timeout: SLOW });
}

describe('without a graphics card', () => {
  let browser;
  before(async () => (browser = await launch()));
  after(() => browser?.close());

  test('a worker that is killed in the middle of a run is told, and the next run works', { timeout: SLOW }, async () => {
    const page = await withSample(browser, { device: 'cpu' }, (page) =>
      page.addInitScript(() => {
        globalThis.workers = [];
        globalThis.Worker = class extends Worker {
          constructor(...options) {
            super(...options);
            workers.push(this);
          }
        };
      }),
    );
    await works(page);
    for (let kill = 0; kill < 5; kill += 1) {
      await running(page, `building ${kill}`);
      const errors = await page.evaluate(() => {
        // As the browser does it: without a word to the page.
        workers.at(-1).terminate();
        return globalThis.errors.length;
      });
      await page.waitForFunction((before) => globalThis.errors.length > before, errors, { timeout: 10_000 });
      assert.equal((await lastError(page)).code, 'memory');
      assert.match(await status(page), /ended the worker.*Try again/);
      assert.ok(await page.locator('rrsis-segment .result').isVisible(), 'what was found before is still there');
      await works(page);
    }
    await page.context().close();
  });

  test('a worker that is killed while nobody waits is replaced without a word', { timeout: SLOW }, async () => {
    const page = await withSample(browser, { device: 'cpu', resolution: '64' }, (page) =>
      page.addInitScript(() => {
        globalThis.Worker = class extends Worker {
          constructor(...options) {
            super(...options);
            globalThis.lastWorker = this;
          }
        };
      }),
    );
    await works(page);
    await page.evaluate(() => lastWorker.terminate());
    await page.waitForTimeout(300);
    await works(page, 'building');
    assert.deepEqual(await page.evaluate(() => errors), []);
    await page.context().close();
  });

  test('memory that the browser refuses is told with its size, and a smaller image works', { timeout: SLOW }, async () => {
    const page = await withSample(browser, { device: 'cpu', resolution: '64' }, (page) =>
      // 448 MB in all: enough for the model, not for 300 MB of pixels beside it.
      page.route('**/*.wasm', async (route) => {
        const response = await route.fetch();
        await route.fulfill({ response, body: withMostPages(await response.body(), 7168) });
      }),
    );
    await works(page);
    await drop(page, { bytes: blackPng(10_000, 10_000), name: 'large.png' });
    await page.waitForFunction((name) => document.querySelector('rrsis-segment').shadowRoot.querySelector('.layers').ariaLabel.includes(name), 'large.png');
    for (let attempt = 0; attempt < 2; attempt += 1) {
      await find(page, 'water');
      assert.equal(await state(page), 'error');
      assert.equal((await lastError(page)).code, 'memory');
      assert.match(await status(page), /gives no memory beyond \d+ MB.*smaller image/);
    }
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await page.waitForFunction((name) => document.querySelector('rrsis-segment').shadowRoot.querySelector('.layers').ariaLabel.includes(name), SAMPLE);
    await works(page);
    await page.context().close();
  });
});

/** A WebAssembly module whose memory may not grow beyond so many pages of 64 KiB. */
function withMostPages(module, most) {
  let at = 8;
  const number = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = module[at++];
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  const encoded = (value) => {
    const bytes = [];
    do {
      bytes.push((value & 127) | (value > 127 ? 128 : 0));
      value = Math.floor(value / 128);
    } while (value);
    return bytes;
  };
  while (at < module.length) {
    const start = at;
    const section = module[at++];
    const length = number();
    const end = at + length;
    if (section === 5) {
      assert.equal(number(), 1, 'one memory');
      const flags = number();
      const least = number();
      assert.ok(flags <= 1 && least < most);
      const body = [1, 1, ...encoded(least), ...encoded(most)];
      return Buffer.concat([module.subarray(0, start), Buffer.from([5, ...encoded(body.length), ...body]), module.subarray(end)]);
    }
    at = end;
  }
  throw new Error('the module has no memory of its own');
}
