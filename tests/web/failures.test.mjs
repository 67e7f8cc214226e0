// Workers that are killed: the work fails with a sentence, and the page stays usable without a reload.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { SITE, SLOW, drop, find, input, lastError, launch, openPage, state, status, waitForPicture } from './harness.mjs';

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
});
