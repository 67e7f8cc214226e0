// Screenshots to look at, and what can be checked of them by machine.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { OUTPUT, SLOW, element, find, launch, openPage, state, status, waitForPicture } from './harness.mjs';

const SIZES = {
  phone: { viewport: { width: 390, height: 844 } },
  'phone at night': { viewport: { width: 390, height: 844 }, colorScheme: 'dark' },
  tablet: { viewport: { width: 820, height: 1180 } },
  desktop: { viewport: { width: 1440, height: 900 } },
  night: { viewport: { width: 1440, height: 900 }, colorScheme: 'dark' },
};

describe('look', () => {
  let browser;
  before(async () => (browser = await launch()));
  after(() => browser?.close());

  for (const [name, options] of Object.entries(SIZES)) {
    test(`nothing is cut off: ${name}`, { timeout: SLOW }, async () => {
      const page = await openPage(browser, { ...options, attributes: { resolution: '256' } });
      const shoot = (what) => page.screenshot({ path: join(OUTPUT, `${name}-${what}.png`), fullPage: true });
      const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      await page.locator('rrsis-segment .sample').first().waitFor();
      await page.waitForLoadState('networkidle');
      await shoot('start');
      assert.ok((await overflow()) <= 0, `${await overflow()} px too wide at the start`);
      await page.locator('rrsis-segment .sample', { hasText: 'Streets' }).click();
      await waitForPicture(page);
      await find(page, 'vegetation');
      assert.equal(await state(page), 'done', await status(page));
      await shoot('done');
      assert.ok((await overflow()) <= 0, `${await overflow()} px too wide with a result`);
      await find(page, '');
      await shoot('error');
      await page.context().close();
    });
  }

  test('every control has a name and the first view is light', { timeout: SLOW }, async () => {
    const page = await openPage(browser);
    let bytes = 0;
    const responses = [];
    page.on('response', (response) => responses.push(response.body().then((body) => (bytes += body.length), () => {})));
    await page.reload();
    await page.waitForLoadState('networkidle');
    await Promise.all(responses);
    assert.ok(bytes < 200_000, `${bytes} bytes before anything was asked for`);
    const nameless = await element(page).evaluate(({ shadowRoot }) =>
      [...shadowRoot.querySelectorAll('button, input:not([hidden])')]
        .filter((control) => !(control.textContent.trim() || control.labels?.length || control.ariaLabel))
        .map((control) => control.outerHTML),
    );
    assert.deepEqual(nameless, []);
    await page.context().close();
  });

  test('the element works by keyboard alone', { timeout: SLOW }, async () => {
    const page = await openPage(browser, { attributes: { device: 'cpu', resolution: '64' } });
    await page.locator('rrsis-segment .sample').first().waitFor();
    const focused = () =>
      page.evaluate(() => document.querySelector('rrsis-segment').shadowRoot.activeElement?.classList[0] ?? '');
    const order = [];
    for (let presses = 0; presses < 9 && order.at(-1) !== 'run'; presses += 1) {
      await page.keyboard.press('Tab');
      order.push(await focused());
    }
    assert.deepEqual(order, ['choose', 'by-address', 'sample', 'sample', 'sample', 'sample', 'expression', 'run']);
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Enter');
    await waitForPicture(page);
    assert.equal(await focused(), 'expression', 'the text box is next after a sample');
    await page.context().close();
  });
});
