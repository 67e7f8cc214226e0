// A browser, the built site, and the native command to compare with.

import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';

const required = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run these tests with \`cargo xtask test\``);
  return value;
};

export const SITE = required('RRSIS_SITE_URL').replace(/\/*$/, '/');
export const DIST = required('RRSIS_DIST');
export const OUTPUT = process.env.RRSIS_TEST_OUTPUT || mkdtempSync(join(tmpdir(), 'rrsis-web-'));
export const MODEL = join(DIST, 'models', 'rrsis-small');
export const MANIFEST = JSON.parse(readFileSync(join(MODEL, 'manifest.json'), 'utf8'));
/** The files that hold the program, by device. Chromium has relaxed SIMD. */
export const PROGRAM = { cpu: 'rrsis_cpu_relaxed_bg.wasm', threads: 'rrsis_cpu_threads_bg.wasm', webgpu: 'rrsis_gpu_bg.wasm' };
/** Software WebGPU in a shared container: minutes, not seconds. */
export const SLOW = 600_000;

const QUIET = [
  '--no-sandbox',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
  '--no-first-run',
];
/** SwiftShader: WebGPU without a graphics card. */
const WEBGPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'];
const NO_WEBGPU = ['--disable-features=WebGPU', '--disable-gpu'];

/** A browser with or without WebGPU. */
export async function launch({ webgpu = false } = {}) {
  // Its processes are found by it.
  const mark = `--rrsis-test=${process.pid}-${Math.random()}`;
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [...QUIET, mark, ...(webgpu ? WEBGPU : NO_WEBGPU)],
  });
  return Object.assign(browser, { mark });
}

/**
 * Bytes of memory that a browser's processes have, and the most they have had; the largest process of
 * each kind ("renderer", "gpu-process") is told. Undefined where the system has no /proc.
 */
export function memoryOf(browser) {
  if (!existsSync('/proc/self/status')) return undefined;
  const processes = [];
  for (const name of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const command = readFileSync(`/proc/${name}/cmdline`, 'latin1');
      const text = readFileSync(`/proc/${name}/status`, 'latin1');
      const field = (key) => Number(text.match(new RegExp(`^${key}:\\s+(\\d+)`, 'm'))?.[1] ?? 0);
      processes.push({
        pid: Number(name), parent: field('PPid'), command, now: field('VmRSS') * 1024, peak: field('VmHWM') * 1024,
      });
    } catch {
      // Gone meanwhile.
    }
  }
  const tree = new Set(processes.filter(({ command }) => command.includes(browser.mark)).map(({ pid }) => pid));
  for (let before = -1; before !== tree.size; ) {
    before = tree.size;
    for (const { pid, parent } of processes) if (tree.has(parent)) tree.add(pid);
  }
  const kinds = {};
  for (const one of processes.filter(({ pid }) => tree.has(pid))) {
    const kind = one.command.match(/--type=([\w-]+)/)?.[1] ?? 'browser';
    if (!kinds[kind] || one.peak > kinds[kind].peak) kinds[kind] = { now: one.now, peak: one.peak };
  }
  return kinds;
}

/** Runs code in every worker of the page before the worker's own. */
export const inWorker = (page, code) =>
  page.context().route('**/worker.js', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: `{${code}}\n${await response.text()}` });
  });

/**
 * The site's page with the element's attributes set before anything is loaded.
 *
 * Every request is recorded, and so is everything the page complains about.
 */
export async function openPage(browser, { address = SITE, attributes = {}, prepare, viewport, colorScheme, context } = {}) {
  // A service worker's requests are out of a test's hands; what it does has its own test.
  context ??= await browser.newContext({ viewport, colorScheme, serviceWorkers: 'block' });
  const page = await context.newPage();
  page.setDefaultTimeout(SLOW);
  page.requests = [];
  page.complaints = [];
  page.on('request', (request) => page.requests.push(request.url()));
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') page.complaints.push(message.text());
  });
  await prepare?.(page);
  await page.goto(address);
  await page.evaluate((attributes) => {
    const element = document.querySelector('rrsis-segment');
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    globalThis.progress = [];
    globalThis.errors = [];
    globalThis.results = [];
    element.addEventListener('progress', ({ detail }) => progress.push(detail));
    element.addEventListener('error', ({ detail }) => errors.push(detail));
    element.addEventListener('result', ({ detail }) => results.push(detail));
  }, attributes);
  return page;
}

/** Drops a file on the element, as from a file manager; `bytes` is a Buffer. */
export function drop(page, { address, bytes, name = 'dropped' }) {
  return page.evaluate(
    async ({ address, bytes, name }) => {
      const content =
        bytes === undefined
          ? await (await fetch(address)).arrayBuffer()
          : Uint8Array.from(atob(bytes), (character) => character.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([content], name));
      const stage = document.querySelector('rrsis-segment').shadowRoot.querySelector('.stage');
      stage.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }));
    },
    { address, bytes: bytes?.toString('base64'), name },
  );
}

export const element = (page) => page.locator('rrsis-segment');
export const input = (page) => page.locator('rrsis-segment .expression');
export const state = (page) => element(page).getAttribute('state');

export const waitForState = (page, ...states) =>
  page.waitForFunction(
    (states) => states.includes(document.querySelector('rrsis-segment').getAttribute('state')),
    states,
    { timeout: SLOW },
  );

/** What the element says: the error where there is one, else the result. */
export const status = (page) =>
  page.evaluate(() => {
    const root = document.querySelector('rrsis-segment').shadowRoot;
    const [message, summary] = ['.message', '.summary'].map((part) => root.querySelector(part));
    return (message.hidden ? summary : message).textContent;
  });

/** The last error event. */
export const lastError = (page) => page.evaluate(() => errors.at(-1));

/** Waits until a picture is shown and what is fetched for it has arrived. */
export async function waitForPicture(page) {
  await page.locator('rrsis-segment .view').waitFor();
  await waitForState(page, 'idle', 'ready', 'done', 'error');
}

/** Types an expression, presses Enter, and waits for the end. */
export async function find(page, expression) {
  const before = await page.evaluate(() => results.length + errors.length);
  await input(page).fill(expression);
  await input(page).press('Enter');
  await page.waitForFunction((before) => results.length + errors.length > before, before, { timeout: SLOW });
  await waitForState(page, 'done', 'error');
}

/** The last result's mask. */
export const lastMask = (page) =>
  page.evaluate(() => {
    const { width, height, mask, device } = results.at(-1);
    return { width, height, mask: Array.from(mask), device };
  });

/** The mask of the native command, as a page's CPU computes it unless `options` say otherwise, read by the browser. */
export async function nativeMask(page, image, expression, options = []) {
  const out = join(mkdtempSync(join(tmpdir(), 'rrsis-native-')), 'mask.png');
  const precision = options.includes('--precision') ? [] : ['--precision', 'int8'];
  const args = ['segment', image, expression, '--model', MODEL, '--device', 'cpu', '--out', out, ...precision, ...options];
  await promisify(execFile)(required('RRSIS_BIN'), args);
  const encoded = readFileSync(out).toString('base64');
  return page.evaluate(async (encoded) => {
    const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes]));
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const drawing = canvas.getContext('2d');
    drawing.drawImage(bitmap, 0, 0);
    const { data, width, height } = drawing.getImageData(0, 0, bitmap.width, bitmap.height);
    return { width, height, mask: Array.from({ length: width * height }, (_, i) => (data[4 * i] > 127 ? 1 : 0)) };
  }, encoded);
}

/** Intersection over union; 0 where both are empty, so that nothing is proved by nothing. */
export function iou(a, b) {
  let intersection = 0;
  let union = 0;
  for (let i = 0; i < a.length; i++) {
    intersection += a[i] & b[i];
    union += a[i] | b[i];
  }
  return union ? intersection / union : 0;
}
