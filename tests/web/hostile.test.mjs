// Pages that the widget does not own: strict policies, polluted prototypes, style sheets that want
// everything, expressions that want to be code. Nothing leaves, nothing breaks, nothing is interpreted.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { SLOW, SITE, drop, find, input, launch, lastError, openPage, state, status, waitForPicture } from './harness.mjs';
import { modelHost, serveSite } from './hosts.mjs';

const SAMPLE = 'rotterdam-quay.jpg';
const SAMPLE_URL = new URL(`samples/${SAMPLE}`, SITE).href;

/** The policy that docs/widget.md asks for, and not a word more. */
const POLICY = (model) => [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  `connect-src 'self' ${model ?? ''} blob:`,
  "img-src 'self' blob: data:",
  "base-uri 'none'",
  "form-action 'none'",
  "require-trusted-types-for 'script'",
  'trusted-types rrsis-segment',
].join('; ');

const document = (body, head = '') => `<!doctype html><html lang="en"><head><title>Host</title><link rel="icon" href="data:,">${head}</head><body>${body}</body></html>`;

/** Opens a page of the test's own beside the built site, with every request and complaint recorded. */
async function hosted(browser, { html, policy, script }) {
  const site = await serveSite((path) => {
    if (path === 'host.html') return { headers: policy ? { 'content-security-policy': policy } : {}, body: html };
    if (path === 'host.js') return { headers: { 'content-type': 'text/javascript' }, body: script ?? '' };
    // A worker has the policy that its own answer brings.
    return { headers: policy ? { 'content-security-policy': policy } : {} };
  });
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(SLOW);
  const seen = { requests: [], complaints: [] };
  context.on('request', (request) => seen.requests.push(request.url()));
  page.on('pageerror', (error) => seen.complaints.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && seen.complaints.push(message.text()));
  await page.addInitScript(() => {
    globalThis.violations = [];
    addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => violations.push(`${violatedDirective} ${blockedURI}`));
  });
  await page.goto(new URL('host.html', site.url).href);
  return { page, site, seen, close: async () => (await context.close(), site.close()) };
}

/** Segments by hand: chooses a file, types, presses Enter, looks at the mask. */
async function byHand(page, expression = 'water') {
  const widget = page.locator('rrsis-segment').first();
  const bytes = Buffer.from(await (await fetch(SAMPLE_URL)).arrayBuffer());
  await widget.locator('.file').setInputFiles({ name: SAMPLE, mimeType: 'image/jpeg', buffer: bytes });
  await widget.locator('.view').waitFor();
  await widget.locator('.expression').fill(expression);
  await widget.locator('.expression').press('Enter');
  await page.waitForFunction(() => ['done', 'error'].includes(globalThis.document.querySelector('rrsis-segment').state), null, { timeout: SLOW });
  assert.equal(await widget.getAttribute('state'), 'done', await widget.locator('.message').textContent());
  return page.evaluate(() => {
    const [{ share, result }] = globalThis.document.querySelector('rrsis-segment').found;
    return { share, width: result.width, pixels: result.mask.length };
  });
}

const WIDGET = '<rrsis-segment device="cpu" resolution="64"></rrsis-segment>';
const SCRIPT = '<script type="module" src="rrsis-segment.js"></script>';

describe('in pages of others', () => {
  let browser;
  let plain;
  before(async () => {
    browser = await launch();
    const { page, close } = await hosted(browser, { html: document(WIDGET, SCRIPT) });
    plain = await byHand(page);
    await close();
    assert.ok(plain.share > 0);
  });
  after(() => browser?.close());

  test('under the strictest policy, with Trusted Types, every file is made without a complaint', { timeout: SLOW }, async () => {
    const { page, site, seen, close } = await hosted(browser, { html: document(WIDGET, SCRIPT), policy: POLICY() });
    assert.deepEqual(await byHand(page), plain);
    await page.locator('.threshold').fill('30');
    for (const what of ['mask', 'overlay', 'geojson']) {
      await page.locator('.save summary').click();
      await Promise.all([page.waitForEvent('download'), page.locator(`[data-save="${what}"]`).click()]);
    }
    assert.deepEqual(await page.evaluate(() => violations), []);
    assert.deepEqual(seen.complaints, []);
    const elsewhere = seen.requests.filter((url) => !url.startsWith(site.url) && !/^(blob|data):/.test(url));
    assert.deepEqual(elsewhere, [], 'no request to any other origin');
    assert.ok(seen.requests.filter((url) => url.startsWith(site.url)).length > 10, 'requests were recorded');
    await close();
  });

  test('a model of another host: requests go to the page’s origin and to it, and carry nothing of the image', { timeout: SLOW }, async () => {
    const model = await modelHost(() => ({}));
    const widget = WIDGET.replace('device', `model="${model.url}" device`);
    const { page, site, seen, close } = await hosted(browser, { html: document(widget, SCRIPT), policy: POLICY(model.url) });
    const bodies = [];
    page.on('request', (request) => bodies.push(request.postData()));
    assert.deepEqual(await byHand(page), plain);
    const elsewhere = seen.requests.filter((url) => !url.startsWith(site.url) && !url.startsWith(model.url) && !/^(blob|data):/.test(url));
    assert.deepEqual(elsewhere, []);
    assert.deepEqual(model.requests.map(({ name }) => name).toSorted(), ['manifest.json', 'text.bpk', 'tokenizer.json', 'vision.bpk']);
    assert.deepEqual(bodies.filter(Boolean), [], 'nothing is sent');
    assert.deepEqual(await page.evaluate(() => violations), []);
    await close();
    model.close();
  });

  test('a page that extends everybody’s prototypes changes no answer', { timeout: SLOW }, async () => {
    const script = `
      Object.prototype.extra = () => 'extra';
      Object.prototype.type = 'load';
      Array.prototype.last = function () { return this[this.length - 1]; };
      Function.prototype.named = true;
      String.prototype.code = 'x';
      Promise.prototype.done = function () { return this; };
      globalThis.process = { versions: { node: '0.1' } };
      globalThis.module = { exports: {} };
      globalThis.define = Object.assign(() => {}, { amd: true });`;
    const { page, seen, close } = await hosted(browser, { html: document(WIDGET, `<script src="host.js"></script>${SCRIPT}`), script });
    assert.deepEqual(await byHand(page), plain);
    assert.deepEqual(seen.complaints, []);
    await close();
  });

  test('a page’s style sheets do not reach inside, and the widget leaves no trace outside', { timeout: SLOW }, async () => {
    const style = '<style>* { display: none } html, body, head + body, rrsis-segment { display: block } button { position: fixed; inset: 0; color: transparent } input { width: 1px !important } .result, .view { visibility: hidden }</style>';
    const { page, close } = await hosted(browser, { html: document(WIDGET, style + SCRIPT) });
    const globals = () => page.evaluate(() => Object.keys(globalThis).toSorted().join(' '));
    const before = await globals();
    assert.deepEqual(await byHand(page), plain);
    assert.ok((await page.locator('.run').boundingBox()).width < 300);
    assert.ok((await page.locator('.expression').boundingBox()).width > 300);
    assert.equal(await page.locator('.result').evaluate((part) => getComputedStyle(part).visibility), 'visible');
    assert.equal(await globals(), before, 'no global variable');
    assert.equal(await page.evaluate(() => globalThis.document.querySelectorAll('head *').length), 4, 'nothing added to the page');
    await close();
  });

  test('the package comes from another host: its worker starts through a blob', { timeout: SLOW }, async () => {
    const cdn = await serveSite(() => ({ headers: { 'access-control-allow-origin': '*' } }));
    const script = `<script type="module" src="${cdn.url}rrsis-segment.js"></script>`;
    const policy = [
      "default-src 'none'", `script-src ${cdn.url} 'wasm-unsafe-eval'`, `worker-src blob:`, `connect-src ${cdn.url} blob:`, "img-src blob: data:",
      "require-trusted-types-for 'script'", 'trusted-types rrsis-segment',
    ].join('; ');
    const { page, site, seen, close } = await hosted(browser, { html: document(WIDGET, script), policy });
    assert.deepEqual(await byHand(page), plain);
    assert.deepEqual(await page.evaluate(() => violations), []);
    assert.deepEqual(seen.complaints, []);
    const own = seen.requests.filter((url) => url.startsWith(site.url)).map((url) => url.slice(site.url.length));
    assert.deepEqual(own.filter((path) => path !== 'favicon.ico'), ['host.html'], 'nothing else is asked of the page’s own host');
    await close();
    cdn.close();
  });

  test('in a sandboxed frame without an origin, where no storage is, it works', { timeout: SLOW }, async () => {
    const site = await serveSite((path) => {
      // A frame without an origin is another site to its own files.
      const headers = { 'access-control-allow-origin': '*' };
      if (path === 'outer.html') return { body: document('<iframe sandbox="allow-scripts" src="inner.html" width="900" height="900"></iframe>') };
      if (path === 'inner.html') return { body: document(WIDGET, SCRIPT) };
      return { headers };
    });
    const page = await (await browser.newContext()).newPage();
    page.setDefaultTimeout(SLOW);
    await page.goto(new URL('outer.html', site.url).href);
    const frame = page.frames().at(-1);
    const outcome = await frame.evaluate(async (address) => {
      await customElements.whenDefined('rrsis-segment');
      const { mask, width } = await globalThis.document.querySelector('rrsis-segment').segment(address, 'water');
      return { width, pixels: mask.length };
    }, new URL(`samples/${SAMPLE}`, site.url).href);
    assert.deepEqual(outcome, { width: plain.width, pixels: plain.pixels });
    await page.context().close();
    site.close();
  });
});

describe('expressions', () => {
  let browser;
  before(async () => (browser = await launch()));
  after(() => browser?.close());

  test('100,000 characters are refused in a sentence, by hand and by script, and the page stays quick', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: { device: 'cpu', resolution: '64' } });
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await waitForPicture(page);
    for (const expression of ['water '.repeat(16_667).slice(0, 100_000), 'x'.repeat(100_000), '🚢'.repeat(50_000), '\u0301'.repeat(100_000)]) {
      const start = Date.now();
      await find(page, expression);
      assert.equal(await state(page), 'error');
      assert.equal((await lastError(page)).code, 'expression');
      assert.ok((await status(page)).length < 300, 'not all of it is repeated');
      assert.equal((await input(page).inputValue()).length, expression.length, 'it can be mended');
      assert.ok(Date.now() - start < 20_000, `${Date.now() - start} ms`);
    }
    await find(page, 'water');
    assert.equal(await state(page), 'done', await status(page));
    await page.context().close();
  });

  test('control characters, directions, emoji and markup are shown as text in every place', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: { device: 'cpu', resolution: '64' } });
    await page.evaluate(() => (globalThis.pwned = 0));
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await waitForPicture(page);
    const expressions = [
      'water \u202Eretaw',
      'road\u2066\u2067 left',
      'a\u0007b\u0000c building',
      '🚢 ship 👩‍🚀',
      '<img src=x onerror="pwned=1"> water',
      '"><svg onload=pwned=1> road',
      '{{7*7}} ${pwned=1} javascript:pwned=1',
      'בניין ליד המים',
    ];
    await page.evaluate(async (address) => (globalThis.image = await (await fetch(address)).blob()), SAMPLE_URL);
    for (const expression of expressions) {
      const { told } = await page.evaluate(
        async (expression) => {
          const element = document.querySelector('rrsis-segment');
          await element.segment(image, expression);
          const root = element.shadowRoot;
          return { told: root.querySelector('.summary').textContent, inside: root.querySelectorAll('.summary img, .legend img, .summary svg, .legend svg').length };
        },
        expression,
      );
      assert.doesNotMatch(told, /[\u0000-\u001f\u202a-\u202e\u2066-\u2069]/, 'nothing that turns the line around');
    }
    const shown = await page.evaluate(() => {
      const root = document.querySelector('rrsis-segment').shadowRoot;
      const everywhere = [root.querySelector('.layers').getAttribute('aria-label'), root.querySelector('.legend').textContent, root.querySelector('#announcer').textContent];
      return { everywhere: everywhere.join('\n'), elements: root.querySelectorAll('.legend :is(img, svg, script), .summary :is(img, svg, script)').length, names: [...root.querySelectorAll('.legend .name')].map(({ textContent }) => textContent) };
    });
    assert.equal(shown.elements, 0);
    assert.equal(await page.evaluate(() => pwned), 0);
    assert.match(shown.everywhere, /<img src=x onerror="pwned=1"> water/);
    assert.doesNotMatch(shown.everywhere, /[\u0000-\u0008\u202a-\u202e\u2066-\u2069]/);
    assert.equal(shown.names.length, expressions.length);
    // A line from right to left stays in its place: the share stands behind it, in reading order.
    assert.equal(await page.locator('rrsis-segment .summary bdi').evaluate((name) => getComputedStyle(name).unicodeBidi), 'isolate');
    // In files the words are what was typed.
    const features = await page.evaluate(async () => {
      const element = document.querySelector('rrsis-segment');
      const { createSegmenter } = await import('./engine.js');
      const engine = createSegmenter({ device: 'cpu' });
      const text = await engine.toGeoJson(element.found.map(({ expression, result }) => ({ expression, ...result, mask: result.mask.map(() => 1) })));
      engine.close();
      return JSON.parse(text).features.map(({ properties }) => properties.expression);
    });
    assert.deepEqual([...new Set(features)], expressions);
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });
});
