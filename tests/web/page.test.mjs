// What a person does after the first mask: more expressions, thresholds, files, links, no network.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { MANIFEST, PROGRAM, SITE, SLOW, drop, element, find, input, launch, nativeMask, openPage, state, status, waitForPicture, waitForState } from './harness.mjs';

const SAMPLE = 'rotterdam-streets.jpg';
const SAMPLE_URL = new URL(`samples/${SAMPLE}`, SITE).href;
const GEOTIFFS = fileURLToPath(new URL('../goldens/geotiff/', import.meta.url));
const ATTRIBUTES = { device: 'cpu', resolution: '128' };
const part = (page, name) => page.locator(`rrsis-segment ${name}`);
const found = (page) =>
  page.evaluate(() =>
    document.querySelector('rrsis-segment').found.map(({ expression, color, visible, share, regions }) => ({ expression, color, visible, share, regions })),
  );

/** A page with a sample and masks of these expressions. */
async function opened(browser, expressions, options = {}) {
  const page = await openPage(browser, { attributes: ATTRIBUTES, ...options });
  await drop(page, { address: SAMPLE_URL, name: SAMPLE });
  await waitForPicture(page);
  for (const expression of expressions) {
    await find(page, expression);
    assert.equal(await state(page), 'done', await status(page));
  }
  return page;
}

/** Presses an entry of the menu and reads the file that comes of it. */
async function saved(page, what) {
  await part(page, '.save summary').click();
  const [file] = await Promise.all([page.waitForEvent('download'), part(page, `[data-save="${what}"]`).click()]);
  return { name: file.suggestedFilename(), content: readFileSync(await file.path()) };
}

/** Pixels of the overlay that are not transparent. */
const inked = (page, canvas = '.fill') =>
  part(page, canvas).evaluate((canvas) => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const colors = {};
    for (let at = 0; at < data.length; at += 4) {
      if (!data[at + 3]) continue;
      const color = `#${[0, 1, 2].map((i) => data[at + i].toString(16).padStart(2, '0')).join('')}`;
      colors[color] = (colors[color] ?? 0) + 1;
    }
    return colors;
  });

async function nothingIsKept(page) {
  await page.waitForFunction(async () => /^Nothing is kept/.test(document.getElementById('kept').textContent) && !(await caches.keys()).length, undefined, { timeout: 20_000 });
}

/** A JPEG with an EXIF block that says how it is turned. */
function turned(jpeg, orientation) {
  const exif = Buffer.from([0xff, 0xe1, 0, 34, ...Buffer.from('Exif\0\0MM\0*'), 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([jpeg.subarray(0, 2), exif, jpeg.subarray(2)]);
}

describe('the page', () => {
  let browser;
  before(async () => (browser = await launch()));
  after(() => browser?.close());

  test('each expression is a layer with its own colour, that can be hidden, moved and removed', { timeout: SLOW }, async () => {
    const page = await opened(browser, ['vegetation', 'building', 'vegetation']);
    let layers = await found(page);
    assert.deepEqual(layers.map(({ expression }) => expression), ['vegetation', 'building'], 'the same words are one layer');
    assert.notEqual(layers[0].color, layers[1].color);
    await page.waitForFunction(() => document.querySelector('rrsis-segment').found.every(({ regions }) => regions > 0));
    const both = await inked(page);
    assert.deepEqual(Object.keys(both).toSorted(), layers.map(({ color }) => color).toSorted());
    await part(page, '.layer', ).filter({ hasText: 'building' }).getByRole('button', { name: 'Hide “building”' }).click();
    assert.deepEqual(Object.keys(await inked(page)), [layers[0].color]);
    await part(page, '.layer').filter({ hasText: 'vegetation' }).getByRole('button', { name: 'up' }).click();
    layers = await found(page);
    assert.deepEqual(layers.map(({ expression }) => expression), ['building', 'vegetation']);
    await part(page, '.layer').filter({ hasText: 'vegetation' }).getByRole('button', { name: 'Remove' }).click();
    assert.deepEqual((await found(page)).map(({ expression }) => expression), ['building']);
    await part(page, '.layer').getByRole('button', { name: 'Remove' }).click();
    assert.equal(await state(page), 'ready');
    assert.ok(await part(page, '.result').isHidden());
    assert.equal(await page.evaluate(() => results.length), 3, 'nothing of this ran the network');
    await page.context().close();
  });

  test('the threshold redraws the mask that the network would have given', { timeout: SLOW }, async () => {
    const page = await opened(browser, ['vegetation']);
    const [before] = await found(page);
    await part(page, '.threshold').fill('80');
    await page.waitForFunction((share) => document.querySelector('rrsis-segment').found[0].share !== share, before.share);
    const { again, drawn } = await page.evaluate(async (address) => {
      const element = document.querySelector('rrsis-segment');
      const drawn = element.found[0].result.mask;
      const { mask } = await element.segment(address, 'vegetation', { threshold: 0.8 });
      return { again: mask.reduce((a, b) => a + b, 0), drawn: drawn.reduce((a, b) => a + b, 0) };
    }, SAMPLE_URL);
    assert.equal(drawn, again);
    assert.ok(drawn > 0);
    assert.equal(await page.evaluate(() => results.length), 2);
    await page.context().close();
  });

  test('the pointer shows the probability, which agrees with the mask', { timeout: SLOW }, async () => {
    const page = await opened(browser, ['vegetation']);
    const box = await part(page, '.layers').boundingBox();
    let seen = 0;
    for (const [x, y] of [[0.2, 0.3], [0.5, 0.5], [0.8, 0.2], [0.6, 0.9], [0.35, 0.75]]) {
      await page.mouse.move(box.x + x * box.width, box.y + y * box.height);
      const said = await part(page, '.readout').textContent();
      const [, percent, column, row] = said.match(/^vegetation (\d+) % · (\d+), (\d+)$/).map(Number);
      const value = await page.evaluate(
        ([column, row]) => {
          const { mask, width } = document.querySelector('rrsis-segment').found[0].result;
          return mask[row * width + column];
        },
        [column, row],
      );
      if (percent > 55 || percent < 45) assert.equal(value, Number(percent > 50), said);
      seen += 1;
    }
    assert.equal(seen, 5);
    await page.mouse.move(0, 0);
    assert.ok(await part(page, '.readout').isHidden());
    await page.context().close();
  });

  test('zoom and pan by buttons, keys and wheel; compare by keys', { timeout: SLOW }, async () => {
    const page = await opened(browser, []);
    const width = () => part(page, '.layers').evaluate((layers) => layers.getBoundingClientRect().width);
    const whole = await width();
    await part(page, '.zoom-in').click();
    assert.equal(Math.round((await width()) / whole), 2);
    await part(page, '.view').focus();
    const left = () => part(page, '.layers').evaluate((layers) => layers.getBoundingClientRect().left);
    const before = await left();
    await page.keyboard.press('ArrowRight');
    assert.equal(Math.round(before - (await left())), 60);
    await page.keyboard.press('0');
    assert.equal(await width(), whole);
    await part(page, '.layers').hover();
    await page.keyboard.down('Control');
    await page.mouse.wheel(0, -300);
    await page.keyboard.up('Control');
    await page.waitForFunction((whole) => document.querySelector('rrsis-segment').shadowRoot.querySelector('.layers').getBoundingClientRect().width > 2 * whole, whole);
    await part(page, '.zoom-fit').click();

    await find(page, 'vegetation');
    await part(page, '.compare').click();
    await part(page, '.swipe').focus();
    await page.keyboard.press('Home');
    for (let i = 0; i < 10; i += 1) await page.keyboard.press('ArrowRight');
    assert.equal(await part(page, '.fill').evaluate((canvas) => getComputedStyle(canvas).clipPath), 'inset(0px 0px 0px 10%)');
    await part(page, '.compare').click();
    assert.equal(await part(page, '.fill').evaluate((canvas) => getComputedStyle(canvas).clipPath), 'none');
    await page.context().close();
  });

  test('arrow keys move a point and tell the probability under it, politely', { timeout: SLOW }, async () => {
    const page = await opened(browser, ['vegetation']);
    const readout = part(page, '.readout');
    const told = async () => (await readout.textContent()).match(/^vegetation (\d+) % · (\d+), (\d+)$/).slice(1).map(Number);
    const announced = () => part(page, '#announcer').textContent();
    const { width, height } = await page.evaluate(() => results[0]);
    await part(page, '.view').focus();
    await page.keyboard.press('ArrowLeft');
    const [, x, y] = await told();
    assert.deepEqual([x, y], [width / 2, height / 2], 'it begins in the middle');
    const pointShown = () => part(page, '.point').evaluate(({ hidden }) => !hidden);
    assert.ok(await pointShown());
    const before = await announced();
    for (let press = 0; press < 7; press += 1) await page.keyboard.press('Shift+ArrowRight');
    for (let press = 0; press < 3; press += 1) await page.keyboard.press('Shift+ArrowUp');
    assert.deepEqual((await told()).slice(1), [x + 7, y - 3], 'with Shift by pixels');
    assert.equal(await announced(), before, 'nothing is said while keys are pressed');
    const [percent, column, row] = await told();
    await page.waitForFunction((text) => document.querySelector('rrsis-segment').shadowRoot.querySelector('#announcer').textContent === text, `vegetation ${percent} % at ${column}, ${row}`);
    // The same as the pointer tells there.
    const expected = await page.evaluate(async ([column, row]) => {
      const { probabilityAt } = await import('./element/overlay.js');
      const { width, height } = results[0];
      return Math.round(100 * probabilityAt(results[0], (column + 0.5) / width, (row + 0.5) / height));
    }, [column, row]);
    assert.ok(Math.abs(percent - expected) <= 1, `${percent} and ${expected}`);

    // In an enlarged picture the view follows the point, and zooming stays at it.
    for (let press = 0; press < 4; press += 1) await page.keyboard.press('+');
    const inView = async () => {
      const [view, point] = await Promise.all([part(page, '.view').boundingBox(), part(page, '.point').evaluate((point) => point.getBoundingClientRect().toJSON())]);
      return point.x >= view.x && point.x <= view.x + view.width && point.y >= view.y && point.y <= view.y + view.height;
    };
    assert.ok(await inView());
    const start = (await told())[1];
    for (let press = 0; press < 40; press += 1) await page.keyboard.press('ArrowRight');
    assert.ok(await inView(), 'it has not left the view');
    assert.ok((await told())[1] > start + 30);
    await page.keyboard.press('0');
    for (let press = 0; press < 40; press += 1) await page.keyboard.press('ArrowRight');
    assert.equal((await told())[1], width - 1, 'it stops at the edge');
    await page.keyboard.press('Escape');
    assert.ok((await readout.isHidden()) && !(await pointShown()));
    await page.keyboard.press('ArrowDown');
    await part(page, '.run').focus();
    assert.ok(!(await pointShown()), 'it is gone with the focus');
    assert.equal(await page.evaluate(() => results.length), 1);
    await page.context().close();
  });

  test('a picture is pasted, and the one with masks is copied', { timeout: SLOW }, async () => {
    const context = await browser.newContext({ serviceWorkers: 'block', permissions: ['clipboard-read', 'clipboard-write'] });
    const page = await openPage(browser, { context, attributes: ATTRIBUTES });
    await page.evaluate(async (address) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([await (await fetch(address)).blob()], 'pasted.jpg', { type: 'image/jpeg' }));
      document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true, cancelable: true }));
    }, SAMPLE_URL);
    await waitForPicture(page);
    await find(page, 'vegetation');
    await page.bringToFront();
    await part(page, '.save summary').click();
    await part(page, '[data-save="copy"]').click();
    await page.waitForFunction(() => document.querySelector('rrsis-segment').shadowRoot.querySelector('#announcer').textContent === 'Copied.');
    const copied = await page.evaluate(async () => {
      const [item] = await navigator.clipboard.read();
      const { width, height } = await createImageBitmap(await item.getType('image/png'));
      return [width, height];
    });
    assert.deepEqual(copied, await part(page, '.picture').evaluate(({ width, height }) => [width, height]));
    await context.close();
  });

  test('an image stands as its EXIF orientation says, a large one too, and so does its mask', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: { device: 'cpu', resolution: '64' } });
    for (const [width, height] of [[60, 40], [5400, 3600]]) {
      const jpeg = await page.evaluate(
        async ([width, height]) => {
          const canvas = new OffscreenCanvas(width, height);
          const context = canvas.getContext('2d');
          context.fillStyle = '#fff';
          context.fillRect(0, 0, width, height);
          context.fillStyle = '#f00';
          context.fillRect(0, 0, width / 2, height / 2);
          const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.9 })).arrayBuffer());
          return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
        },
        [width, height],
      );
      const bytes = turned(Buffer.from(jpeg, 'base64'), 6);
      await drop(page, { bytes, name: `turned-${width}.jpg` });
      await page.waitForFunction((name) => document.querySelector('rrsis-segment').shadowRoot.querySelector('.layers').ariaLabel?.includes(name), `turned-${width}.jpg`);
      await find(page, 'building');
      assert.equal(await state(page), 'done', await status(page));
      assert.deepEqual(await page.evaluate(() => [results.at(-1).width, results.at(-1).height]), [height, width]);
      const { size, corner } = await part(page, '.picture').evaluate((canvas) => {
        const at = (x, y) => canvas.getContext('2d').getImageData(x * canvas.width, y * canvas.height, 1, 1).data;
        return { size: [canvas.width, canvas.height], corner: [at(0.75, 0.25)[1], at(0.25, 0.25)[1]] };
      });
      assert.ok(Math.max(...size) <= 2048 && Math.abs(size[1] / size[0] - width / height) < 0.01, `${size}`);
      assert.ok(corner[0] < 60 && corner[1] > 200, 'the red quarter has come to the right');
      // What is told of a place belongs to the mask's size.
      const box = await part(page, '.layers').boundingBox();
      await page.mouse.move(box.x + box.width - 2, box.y + box.height - 2);
      const [column, row] = (await part(page, '.readout').textContent()).match(/(\d+), (\d+)$/).slice(1).map(Number);
      assert.ok(column > 0.97 * height - 2 && column < height && row > 0.97 * width - 2 && row < width, `${column}, ${row}`);
      await page.mouse.move(0, 0);
    }
    await page.context().close();
  });

  test('with reduced motion nothing moves', { timeout: SLOW }, async () => {
    const context = await browser.newContext({ serviceWorkers: 'block', reducedMotion: 'reduce' });
    const page = await openPage(browser, { context, attributes: { device: 'cpu' } });
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await waitForPicture(page);
    await input(page).fill('water');
    await input(page).press('Enter');
    await page.waitForFunction(() => progress.some(({ stage }) => stage === 'running'));
    const moving = await page.evaluate(() => {
      const { shadowRoot } = document.querySelector('rrsis-segment');
      return [...document.getAnimations(), ...shadowRoot.getAnimations()].filter(({ playState }) => playState === 'running').length;
    });
    assert.equal(moving, 0);
    await waitForState(page, 'done', 'error');
    await context.close();
  });

  test('masks, pictures and outlines are saved', { timeout: SLOW }, async () => {
    const page = await opened(browser, ['vegetation', 'building']);
    const mask = await saved(page, 'mask');
    assert.equal(mask.name, 'rotterdam-streets-building.png');
    assert.equal(mask.content.toString('latin1', 1, 4), 'PNG');
    const overlay = await saved(page, 'overlay');
    assert.equal(overlay.name, 'rotterdam-streets-building-overlay.png');
    await part(page, '.gsd').fill('0.5');
    const [, { expression, share, regions }] = await found(page);
    const { content, name } = await saved(page, 'geojson');
    assert.equal(name, 'rotterdam-streets-building.geojson');
    const { type, features, crs } = JSON.parse(content);
    assert.deepEqual([type, crs], ['FeatureCollection', undefined]);
    const own = features.filter(({ properties }) => properties.expression === expression);
    assert.ok(own.length > 0 && own.length < features.length);
    assert.equal(own.length, regions ?? own.length);
    const pixels = own.reduce((sum, { properties }) => sum + properties.pixels, 0);
    const { width, height } = await page.evaluate(() => results.at(-1));
    assert.equal(pixels / (width * height), share);
    assert.equal(own[0].properties.area_m2, own[0].properties.pixels / 4);
    assert.match(await part(page, '.layer').first().textContent(), / (m²|ha)/);
    assert.ok(await part(page, '[data-save="geotiff"]').isHidden(), 'no place, no GeoTIFF');
    await page.context().close();
  });

  test('a GeoTIFF is shown, measured, and saved at its place', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: { device: 'cpu', resolution: '64' } });
    const file = 'satellite_u16_planar_lzw_tiled.tif';
    const bytes = readFileSync(join(GEOTIFFS, file));
    await drop(page, { bytes, name: file });
    await waitForPicture(page);
    assert.notEqual(await state(page), 'error', await status(page));
    const shown = await part(page, '.picture').evaluate((canvas) => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return { width: canvas.width, values: new Set(data).size };
    });
    assert.ok(shown.width > 8 && shown.values > 20, 'a picture, not an empty sheet');
    assert.ok(Number(await part(page, '.gsd').inputValue()) > 0);
    await find(page, 'vegetation');
    assert.equal(await state(page), 'done', await status(page));
    await part(page, '.threshold').fill('2');
    await page.waitForFunction(() => document.querySelector('rrsis-segment').found[0].threshold < 0.05);
    const { content } = await saved(page, 'geojson');
    const { crs, features } = JSON.parse(content);
    assert.match(crs.properties.name, /^urn:ogc:def:crs:EPSG::\d+$/);
    assert.ok(features.length > 0 && features[0].geometry.coordinates[0][0][0] > 10_000, 'projected coordinates');
    const tiff = await saved(page, 'geotiff');
    assert.equal(tiff.name, 'satellite_u16_planar_lzw_tiled-vegetation.tif');
    // Opened again, it lies where the image lies.
    const gsd = await part(page, '.gsd').inputValue();
    await drop(page, { bytes: tiff.content, name: tiff.name });
    await page.waitForFunction((name) => document.querySelector('rrsis-segment').shadowRoot.querySelector('.layers').ariaLabel.includes(name), tiff.name);
    assert.equal(await part(page, '.gsd').inputValue(), gsd);
    await page.context().close();
  });

  test('a web address is opened, and one that may not be read is explained', { timeout: SLOW }, async () => {
    const body = Buffer.from(await (await fetch(SAMPLE_URL)).arrayBuffer());
    const page = await openPage(browser, {
      attributes: ATTRIBUTES,
      prepare: async (page) => {
        // What a browser makes of an answer without `Access-Control-Allow-Origin`.
        await page.route('https://closed.example/**', (route) => route.abort('failed'));
        await page.route('https://open.example/**', (route) => route.fulfill({ contentType: 'image/jpeg', body }));
      },
    });
    await part(page, '.by-address').click();
    await page.keyboard.type('https://closed.example/town.png');
    await page.keyboard.press('Enter');
    await waitForState(page, 'error');
    assert.match(await status(page), /CORS.*save the image and choose the file/);
    await part(page, '#address').fill('https://open.example/town.jpg');
    await page.keyboard.press('Enter');
    await waitForPicture(page);
    await find(page, 'water');
    assert.equal(await state(page), 'done', await status(page));
    await page.context().close();
  });

  test('the address of the page brings a sample and an expression back', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: ATTRIBUTES });
    await part(page, '.sample').filter({ hasText: 'Quay' }).click();
    await waitForPicture(page);
    await find(page, 'water & ships');
    const link = page.url();
    assert.match(link, /#image=samples%2Frotterdam-quay\.jpg&find=water\+%26\+ships$/);
    const other = await (await browser.newContext()).newPage();
    await other.goto(link);
    await waitForPicture(other);
    assert.equal(await input(other).inputValue(), 'water & ships');
    await drop(page, { address: SAMPLE_URL, name: SAMPLE });
    await find(page, 'water');
    assert.equal(page.url(), SITE, 'a picture of one’s own has no address');
    await other.goto(`${SITE}#image=https://images.example/a.png&find=x`);
    await other.reload();
    await other.waitForTimeout(300);
    assert.ok(await part(other, '.view').isHidden(), 'only pictures of this site');
    await other.context().close();
    await page.context().close();
  });

  test('what was asked is offered again, and anything else can be typed', { timeout: SLOW }, async () => {
    const page = await opened(browser, ['tall trees']);
    await part(page, '.run').focus();
    await input(page).focus();
    const offered = await part(page, '#choices option').evaluateAll((options) => options.map(({ value }) => value));
    assert.equal(offered[0], 'tall trees');
    assert.ok(offered.includes('light-duty vehicle in the parking area') && offered.length > 20);
    await page.context().close();
  });

  test('a second visit needs no network; what is kept is told and cleared', { timeout: SLOW }, async () => {
    const context = await browser.newContext();
    const page = await openPage(browser, { context, attributes: ATTRIBUTES });
    await part(page, '.sample').filter({ hasText: 'Quay' }).click();
    await waitForPicture(page);
    await find(page, 'water');
    const kept = () => page.evaluate(async () => Promise.all(['rrsis-weights-v1', 'rrsis-shell-v1'].map(async (name) => (await (await caches.open(name)).keys()).map(({ url }) => url))));
    const deadline = Date.now() + 60_000;
    const complete = ([weights, shell]) => weights.length === 3 && ['/', PROGRAM.cpu, 'rrsis_cpu_relaxed.js', 'worker.js', 'manifest.json', 'rotterdam-quay.jpg'].every((name) => shell.some((url) => url.endsWith(name)));
    while (!complete(await kept()) && Date.now() < deadline) await page.waitForTimeout(200);
    assert.ok(complete(await kept()), JSON.stringify(await kept()));
    await page.close();
    await context.setOffline(true);
    const again = await openPage(browser, { context, attributes: ATTRIBUTES });
    await part(again, '.sample').filter({ hasText: 'Quay' }).click();
    await waitForPicture(again);
    await find(again, 'water');
    assert.equal(await state(again), 'done', await status(again));
    await context.setOffline(false);
    await again.reload();
    await again.waitForFunction(() => /^\d+\.\d MB are kept/.test(document.getElementById('kept').textContent));
    const megabytes = Number.parseFloat(await again.locator('#kept').textContent());
    const weights = MANIFEST.files.reduce((sum, file) => sum + file.bytes, 0) / 1e6;
    assert.ok(megabytes > weights + 5 && megabytes < 120, `${megabytes} MB`);
    await again.locator('#clear').click();
    await nothingIsKept(again);
    await context.close();
  });

  test('a program that came before the service worker is kept, too', { timeout: SLOW }, async () => {
    const context = await browser.newContext();
    const prepare = (page) =>
      page.addInitScript(() => {
        const { register } = ServiceWorkerContainer.prototype;
        const gate = new Promise((resolve) => (globalThis.letTheServiceWorkerCome = resolve));
        ServiceWorkerContainer.prototype.register = async function (...rest) {
          await gate;
          return register.apply(this, rest);
        };
      });
    const page = await openPage(browser, { context, attributes: ATTRIBUTES, prepare });
    await part(page, '.sample').filter({ hasText: 'Quay' }).click();
    await waitForPicture(page);
    await find(page, 'water');
    await page.evaluate(() => letTheServiceWorkerCome());
    const kept = () => page.evaluate(async () => (await (await caches.open('rrsis-shell-v1')).keys()).map(({ url }) => url));
    const wanted = [PROGRAM.cpu, 'rrsis_cpu_relaxed.js', 'worker.js', 'lib/program.js', 'page.js'];
    const deadline = Date.now() + 30_000;
    const missing = async () => {
      const urls = await kept();
      return wanted.filter((name) => !urls.some((url) => url.endsWith(name)));
    };
    while ((await missing()).length && Date.now() < deadline) await page.waitForTimeout(200);
    assert.deepEqual(await missing(), []);
    await context.close();
  });

  test('what arrives while everything is cleared is not kept', { timeout: SLOW }, async () => {
    const context = await browser.newContext();
    const first = await openPage(browser, { context, attributes: ATTRIBUTES });
    await first.waitForFunction(async () => (await (await caches.open('rrsis-shell-v1')).keys()).length > 5);
    await first.close();
    let release;
    const released = new Promise((resolve) => (release = resolve));
    let held = 0;
    await context.route('**/*.bpk', async (route) => {
      held += 1;
      await released;
      await route.continue();
    });
    const page = await openPage(browser, { context, attributes: ATTRIBUTES });
    await page.locator('#clear').waitFor();
    await part(page, '.sample').filter({ hasText: 'Quay' }).click();
    const deadline = Date.now() + 60_000;
    while (!held && Date.now() < deadline) await page.waitForTimeout(100);
    assert.ok(held, 'weights are asked for');
    await page.locator('#clear').click();
    await nothingIsKept(page);
    release();
    await waitForPicture(page);
    await find(page, 'water');
    assert.equal(await state(page), 'done', await status(page));
    // Longer than what arrived takes to be written.
    await page.waitForTimeout(1500);
    await nothingIsKept(page);
    await context.close();
  });

  test('axe finds no serious violation, before and after a mask, by day and by night', { timeout: SLOW }, async () => {
    const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
    for (const colorScheme of ['light', 'dark']) {
      const page = await openPage(browser, { attributes: ATTRIBUTES, colorScheme });
      await part(page, '.sample').first().waitFor();
      const check = async (when) => {
        await page.evaluate(axe);
        const { violations, passes } = await page.evaluate(() => globalThis.axe.run());
        assert.ok(passes.length > 15);
        const serious = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
        assert.deepEqual(serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`), [], `${when}, ${colorScheme}`);
      };
      await check('before');
      await drop(page, { address: SAMPLE_URL, name: SAMPLE });
      await waitForPicture(page);
      await find(page, 'vegetation');
      await find(page, 'building');
      await part(page, '.save summary').click();
      await check('after');
      await page.context().close();
    }
  });
});

describe('the element', () => {
  let browser;
  before(async () => (browser = await launch()));
  after(() => browser?.close());

  test('with a poster nothing but the poster is fetched before it is pressed', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: ATTRIBUTES });
    await page.evaluate((src) => {
      const widget = document.createElement('rrsis-segment');
      Object.assign(widget, { id: 'second', src, poster: 'samples/thumbs/rotterdam-streets.jpg', device: 'cpu', resolution: 64 });
      document.querySelector('main').append(widget);
    }, SAMPLE_URL);
    const poster = page.locator('#second .poster');
    await poster.waitFor();
    await page.waitForLoadState('networkidle');
    assert.ok(!page.requests.some((url) => url === SAMPLE_URL || /\.(wasm|bpk)$/.test(url)));
    await poster.click();
    await page.locator('#second .layers').waitFor();
    assert.ok(page.requests.includes(SAMPLE_URL));
    await page.context().close();
  });

  test('loading="lazy" waits until the element is seen', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: ATTRIBUTES, viewport: { width: 800, height: 600 } });
    await page.evaluate((src) => {
      const widget = document.createElement('rrsis-segment');
      Object.assign(widget, { id: 'second', loading: 'lazy', src, device: 'cpu', resolution: 64 });
      widget.style.marginTop = '3000px';
      document.querySelector('main').append(widget);
    }, SAMPLE_URL);
    await page.waitForTimeout(500);
    assert.ok(!page.requests.includes(SAMPLE_URL));
    await page.locator('#second').scrollIntoViewIfNeeded();
    await page.locator('#second .layers').waitFor();
    assert.ok(page.requests.includes(SAMPLE_URL));
    await page.context().close();
  });

  test('custom properties, parts and the slot for samples do what docs/widget.md says', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: ATTRIBUTES });
    const outcome = await page.evaluate((src) => {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync('#second { --rrsis-accent: rgb(1, 2, 3); --rrsis-mask-color: #123456; --rrsis-radius: 3px } #second::part(run-button) { text-transform: uppercase }');
      document.adoptedStyleSheets = [sheet];
      const widget = document.createElement('rrsis-segment');
      Object.assign(widget, { id: 'second', device: 'cpu', resolution: 64 });
      const own = Object.assign(document.createElement('button'), { slot: 'samples', textContent: 'My picture' });
      own.dataset.src = src;
      own.dataset.expression = 'vegetation';
      widget.append(own);
      document.querySelector('main').append(widget);
      const style = (part) => getComputedStyle(widget.shadowRoot.querySelector(`[part~="${part}"]`));
      return { accent: style('run-button').backgroundColor, upper: style('run-button').textTransform, radius: style('frame').borderRadius };
    }, SAMPLE_URL);
    assert.deepEqual(outcome, { accent: 'rgb(1, 2, 3)', upper: 'uppercase', radius: '3px' });
    await page.getByText('My picture').click();
    await page.locator('#second .layers').waitFor();
    await page.waitForFunction(() => document.querySelector('#second').expression === 'vegetation');
    await page.locator('#second .run').click();
    await page.waitForFunction(() => ['done', 'error'].includes(document.querySelector('#second').state), null, { timeout: SLOW });
    assert.equal(await page.evaluate(() => document.querySelector('#second').found[0].color), '#123456');
    await page.context().close();
  });

  test('the segmenter without a user interface gives outlines and other thresholds', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: ATTRIBUTES });
    const outcome = await page.evaluate(async (address) => {
      const { createSegmenter } = await import('./engine.js');
      const segmenter = createSegmenter({ device: 'cpu', resolution: 64 });
      const result = await segmenter.segment(address, 'vegetation');
      const sum = (mask) => mask.reduce((a, b) => a + b, 0);
      const same = await segmenter.maskAt(result, result.threshold);
      const differ = same.reduce((count, value, at) => count + (value !== result.mask[at]), 0);
      const all = sum(await segmenter.maskAt(result, 0.0001));
      const none = sum(await segmenter.maskAt(result, 0.9999));
      const refused = await segmenter.maskAt(result, 2).then(() => 'taken', ({ code, message }) => `${code}: ${message}`);
      const regions = await segmenter.countRegions(result);
      const { features } = JSON.parse(await segmenter.toGeoJson([{ expression: 'vegetation', ...result }], { tolerance: 0 }));
      const again = sum((await segmenter.segment(address, 'vegetation')).mask);
      segmenter.close();
      return { some: sum(result.mask), differ, all, none, refused, regions, features: features.length, again };
    }, SAMPLE_URL);
    const { some, all, none } = outcome;
    assert.ok(none < some && some < all, JSON.stringify(outcome));
    assert.equal(outcome.differ, 0);
    assert.match(outcome.refused, /^options: threshold is 2/);
    assert.equal(outcome.features, outcome.regions);
    assert.equal(outcome.again, some);
    await page.context().close();
  });
});
