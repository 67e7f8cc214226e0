// The program's modules: which one a browser gets, and that it downloads no other.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  DIST, PROGRAM, SITE, SLOW,
  drop, find, inWorker, iou, lastMask, launch, nativeMask, openPage, state, status,
} from './harness.mjs';

const SAMPLE = 'rotterdam-quay.jpg';
const SAMPLE_URL = new URL(`samples/${SAMPLE}`, SITE).href;
const RESOLUTION = '128';

const modules = (page) => page.requests.filter((url) => url.endsWith('.wasm')).map((url) => url.split('/').at(-1));

/** A page whose worker runs `code` before it looks at what the browser can do. */
const pageOf = (browser, code, attributes = {}) =>
  openPage(browser, { attributes: { resolution: RESOLUTION, ...attributes }, prepare: (page) => inWorker(page, code) });

async function mask(page) {
  await drop(page, { address: SAMPLE_URL, name: SAMPLE });
  await find(page, 'water');
  assert.equal(await state(page), 'done', await status(page));
  return lastMask(page);
}

describe('program: on the CPU', () => {
  let browser;
  before(async () => (browser = await launch()));
  after(() => browser?.close());

  test('program: with and without relaxed SIMD, in 8 bits and in f32, it gives the native command’s mask', { timeout: SLOW }, async () => {
    const plain = 'WebAssembly.validate = () => false;';
    for (const [code, module, precision] of [
      ['', PROGRAM.cpu, 'int8'],
      ['', PROGRAM.cpu, 'f32'],
      [plain, 'rrsis_cpu_bg.wasm', 'int8'],
      [plain, 'rrsis_cpu_bg.wasm', 'f32'],
    ]) {
      const page = await pageOf(browser, code, precision === 'int8' ? {} : { precision });
      const found = await mask(page);
      assert.deepEqual(modules(page), [module]);
      const options = ['--resolution', RESOLUTION, '--precision', precision];
      const native = await nativeMask(page, join(DIST, 'samples', SAMPLE), 'water', options);
      assert.ok(iou(found.mask, native.mask) >= 0.99, `${module}, ${precision}: IoU ${iou(found.mask, native.mask)}`);
      await page.context().close();
    }
  });

  test('program: without WebGPU nothing is downloaded for a page that insists on it', { timeout: SLOW }, async () => {
    const page = await pageOf(browser, '', { device: 'webgpu' });
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await find(page, 'water');
    assert.equal(await state(page), 'error');
    assert.deepEqual(modules(page), []);
    await page.context().close();
  });
});

describe('program: with WebGPU (SwiftShader)', () => {
  let browser;
  before(async () => (browser = await launch({ webgpu: true })));
  after(() => browser?.close());

  test('program: an adapter that lacks something means the CPU’s module alone', { timeout: SLOW }, async () => {
    for (const [code, reason] of [
      ['GPUSupportedFeatures.prototype.has = () => false;', /the graphics adapter lacks timestamp-query/],
      [
        "Object.defineProperty(GPUSupportedLimits.prototype, 'maxStorageBufferBindingSize', { get: () => 1024 });",
        /the graphics adapter has maxStorageBufferBindingSize 1024/,
      ],
      [
        "Object.defineProperty(GPUSupportedLimits.prototype, 'maxComputeInvocationsPerWorkgroup', { get: () => 64 });",
        /maxComputeInvocationsPerWorkgroup 64/,
      ],
      ['GPU.prototype.requestAdapter = async () => null;', /found no graphics adapter/],
      ["GPU.prototype.requestAdapter = async () => { throw new DOMException('blocked', 'OperationError'); };", /found no graphics adapter/],
    ]) {
      const page = await pageOf(browser, code);
      assert.equal((await mask(page)).device, 'cpu');
      assert.deepEqual(modules(page), [PROGRAM.cpu]);
      assert.match(await page.locator('rrsis-segment .note').textContent(), reason);
      await page.context().close();
    }
  });

  test('program: where the GPU cannot be opened the CPU’s module takes over', { timeout: SLOW }, async () => {
    const page = await pageOf(
      browser,
      "GPUAdapter.prototype.requestDevice = () => Promise.reject(new DOMException('busy', 'OperationError'));",
    );
    assert.equal((await mask(page)).device, 'cpu');
    assert.deepEqual(modules(page), [PROGRAM.webgpu, PROGRAM.cpu]);
    assert.match(await page.locator('rrsis-segment .note').textContent(), /the graphics device failed/);
    await page.context().close();
  });
});
