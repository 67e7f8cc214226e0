// Devices that are lost, memory that is refused, workers that are killed: the work is finished on
// another path or fails with a sentence, and the page stays usable without a reload.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  DIST, SITE, SLOW, drop, find, inWorker, input, iou, lastError, lastMask, launch, nativeMask, openPage, state, status, waitForPicture, waitForState,
} from './harness.mjs';
import { blackPng } from './images.mjs';

const SAMPLE = 'rotterdam-quay.jpg';
const SAMPLE_FILE = join(DIST, 'samples', SAMPLE);
const SAMPLE_URL = new URL(`samples/${SAMPLE}`, SITE).href;
const note = (page) => page.locator('rrsis-segment .note').textContent();

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

describe('with a graphics device (SwiftShader)', () => {
  let browser;
  before(async () => (browser = await launch({ webgpu: true })));
  after(() => browser?.close());

  const KEEP_DEVICES = `
    self.devices = [];
    const request = GPUAdapter.prototype.requestDevice;
    GPUAdapter.prototype.requestDevice = async function (...options) {
      const device = await request.apply(this, options);
      self.devices.push(device);
      return device;
    };`;
  const destroy = (page) => page.workers().at(-1).evaluate(() => self.devices.at(-1).destroy());

  test('a device that is lost in the middle of a run: the CPU finishes it, and says so', { timeout: SLOW }, async () => {
    const page = await withSample(browser, { device: 'auto', resolution: '128' }, (page) => inWorker(page, KEEP_DEVICES));
    await running(page, 'water');
    await destroy(page);
    await waitForState(page, 'done', 'error');
    assert.equal(await state(page), 'done', await status(page));
    assert.match(await note(page), /^Running on the CPU: the graphics device failed/);
    const { mask, device } = await lastMask(page);
    assert.equal(device, 'cpu');
    const native = await nativeMask(page, SAMPLE_FILE, 'water', ['--resolution', '128']);
    assert.ok(iou(mask, native.mask) >= 0.99);
    assert.deepEqual(await page.evaluate(() => errors), []);
    await works(page, 'building');
    await page.context().close();
  });

  test('a device that is lost between two runs: the next one is the CPU’s', { timeout: SLOW }, async () => {
    const page = await withSample(browser, { device: 'auto', resolution: '64' }, (page) => inWorker(page, KEEP_DEVICES));
    await works(page);
    assert.equal((await lastMask(page)).device, 'webgpu');
    await destroy(page);
    await works(page, 'building');
    assert.equal((await lastMask(page)).device, 'cpu');
    assert.match(await note(page), /^Running on the CPU: the graphics device failed/);
    await page.context().close();
  });

  test('where only WebGPU will do, a lost device is an error, and the next run opens it anew', { timeout: SLOW }, async () => {
    const page = await withSample(browser, { device: 'webgpu', resolution: '64' }, (page) => inWorker(page, KEEP_DEVICES));
    await running(page, 'water');
    await destroy(page);
    await waitForState(page, 'done', 'error');
    assert.equal(await state(page), 'error');
    assert.equal((await lastError(page)).code, 'device');
    assert.match(await status(page), /graphics device was lost/);
    await works(page);
    assert.equal((await lastMask(page)).device, 'webgpu');
    await page.context().close();
  });

  test('a card whose memory is used up in the middle: the CPU finishes the work', { timeout: SLOW }, async () => {
    const page = await withSample(browser, { device: 'auto', resolution: '64' }, (page) =>
      inWorker(
        page,
        `const create = GPUDevice.prototype.createBuffer;
         GPUDevice.prototype.createBuffer = function (options) {
           return create.call(this, self.full ? { ...options, mappedAtCreation: false, size: 2 ** 40 } : options);
         };`,
      ),
    );
    await works(page);
    assert.equal((await lastMask(page)).device, 'webgpu');
    await page.workers().at(-1).evaluate(() => (self.full = true));
    // Another size: buffers that are there already do not do.
    await page.evaluate(() => (document.querySelector('rrsis-segment').resolution = 128));
    await find(page, 'building');
    assert.equal(await state(page), 'done', await status(page));
    assert.equal((await lastMask(page)).device, 'cpu');
    assert.match(await note(page), /^Running on the CPU: the graphics device failed/);
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
