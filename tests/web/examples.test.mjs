// The example sites, built by their own tools from packages, each with a running widget.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { DIST, OUTPUT, SITE, SLOW, launch } from './harness.mjs';
import { serveFolder } from './hosts.mjs';

const run = promisify(execFile);
const EXAMPLES = fileURLToPath(new URL('../../www/examples/', import.meta.url));
const TOOLS = fileURLToPath(new URL('examples/', import.meta.url));
const CACHE = join(process.env.RRSIS_CACHE_DIR || join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'rrsis'), 'examples');

/** MkDocs and Sphinx in a virtual environment, as listed in requirements.txt. */
async function python() {
  const list = readFileSync(join(TOOLS, 'requirements.txt'), 'utf8');
  const place = join(CACHE, 'python');
  const done = join(place, 'requirements.txt');
  if (!existsSync(done) || readFileSync(done, 'utf8') !== list) {
    await run('python3', ['-m', 'venv', '--clear', place]);
    await run(join(place, 'bin/pip'), ['install', '--quiet', '-r', join(TOOLS, 'requirements.txt')]);
    writeFileSync(done, list);
  }
  return join(place, 'bin');
}

/** VitePress, as in package.json: without a lock file, whose optional packages differ from machine to machine. */
async function vitepress() {
  const place = join(CACHE, 'node');
  const list = readFileSync(join(TOOLS, 'package.json'), 'utf8');
  const done = join(place, 'done');
  if (!existsSync(done) || readFileSync(done, 'utf8') !== list) {
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, 'package.json'), list);
    await run('npm', ['install', '--no-package-lock', '--no-audit', '--no-fund'], { cwd: place });
    writeFileSync(done, list);
  }
  return place;
}

/** A copy of an example with the package where it expects it. */
function withPackage(name, folder) {
  const copy = mkdtempSync(join(tmpdir(), `rrsis-${name}-`));
  cpSync(join(EXAMPLES, name), copy, { recursive: true });
  cpSync(DIST, join(copy, folder), { recursive: true, filter: (path) => !path.startsWith(join(DIST, 'examples')) });
  return copy;
}

/** Presses the poster, then Find, and waits for the mask. */
async function tryWidget(page) {
  const widget = page.locator('rrsis-segment').first();
  await widget.locator('.poster').click();
  await widget.locator('.layers').waitFor();
  await widget.evaluate((element) => element.setAttribute('resolution', '64'));
  await widget.evaluate((element) => element.setAttribute('device', 'cpu'));
  await widget.locator('.run').click();
  await page.waitForFunction(() => ['done', 'error'].includes(document.querySelector('rrsis-segment').state), null, { timeout: SLOW });
  assert.equal(await widget.getAttribute('state'), 'done', await widget.locator('.message').textContent());
  assert.equal(await widget.evaluate((element) => element.found[0].expression), 'water');
}

describe('examples', () => {
  let browser;
  before(async () => (browser = await launch()));
  after(() => browser?.close());

  async function check(name, folder, base = '/') {
    const { url, close } = await serveFolder(folder, base);
    const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
    page.setDefaultTimeout(SLOW);
    try {
      const elsewhere = [];
      page.on('request', (request) => {
        const address = request.url();
        if (address.includes('rrsis') && !address.startsWith(url) && !address.startsWith('blob:')) elsewhere.push(address);
      });
      await page.goto(url);
      await tryWidget(page);
      await page.screenshot({ path: join(OUTPUT, `example-${name}.png`) });
      assert.deepEqual(elsewhere, []);
    } finally {
      await page.context().close();
      close();
    }
  }

  test('examples: plain HTML, and the same in a frame', { timeout: SLOW }, async () => {
    const page = await (await browser.newContext()).newPage();
    page.setDefaultTimeout(SLOW);
    await page.goto(new URL('examples/plain.html', SITE).href);
    await tryWidget(page);
    await page.goto(new URL('examples/iframe.html', SITE).href);
    const frame = page.frameLocator('iframe');
    await frame.locator('rrsis-segment .poster').first().click();
    await frame.locator('rrsis-segment .layers').first().waitFor();
    await page.context().close();
  });

  test('examples: MkDocs Material, under a subpath', { timeout: SLOW }, async () => {
    const bin = await python();
    const site = withPackage('mkdocs', 'docs/rrsis');
    await run(join(bin, 'mkdocs'), ['build', '--quiet', '--site-dir', 'site'], { cwd: site });
    await check('mkdocs', join(site, 'site'), '/project/');
  });

  test('examples: Sphinx', { timeout: SLOW }, async () => {
    const bin = await python();
    const site = withPackage('sphinx', '_static/rrsis');
    await run(join(bin, 'sphinx-build'), ['-q', '-b', 'html', '.', 'site'], { cwd: site });
    await check('sphinx', join(site, 'site'));
  });

  test('examples: VitePress', { timeout: SLOW }, async () => {
    const tools = await vitepress();
    const site = withPackage('vitepress', 'docs/public/rrsis');
    // Node finds packages above a folder.
    symlinkSync(join(tools, 'node_modules'), join(site, 'node_modules'));
    await run(process.execPath, [join(tools, 'node_modules/vitepress/bin/vitepress.js'), 'build', 'docs'], { cwd: site });
    await check('vitepress', join(site, 'docs/.vitepress/dist'));
  });

  test('examples: the npm package holds what it needs and nothing else', { timeout: SLOW }, async () => {
    const { stdout } = await run('npm', ['pack', '--dry-run', '--json'], { cwd: DIST, maxBuffer: 1e7 });
    const [{ files, name }] = JSON.parse(stdout);
    assert.equal(name, 'rrsis-segment');
    const paths = files.map(({ path }) => path);
    for (const needed of ['rrsis-segment.js', 'rrsis-segment.d.ts', 'engine.js', 'worker.js', 'element/template.js', 'lib/tools.js', 'pkg/rrsis_cpu.js', 'pkg/rrsis_cpu_bg.wasm', 'pkg/rrsis_cpu_relaxed_bg.wasm', 'pkg/rrsis_gpu_bg.wasm', 'models/rrsis-small/manifest.json']) {
      assert.ok(paths.includes(needed), `${needed} is missing`);
    }
    assert.deepEqual(paths.filter((path) => /^(index|page|offline|samples|examples)|\/\./.test(path)), []);
    const { dependencies } = JSON.parse(readFileSync(join(DIST, 'package.json'), 'utf8'));
    assert.equal(dependencies, undefined, 'no runtime dependencies');
  });
});
