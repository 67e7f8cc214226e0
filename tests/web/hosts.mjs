// Servers of the tests' own: of pages that embed the widget, and of models that misbehave.

import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { DIST, MODEL } from './harness.mjs';

const TYPES = {
  '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json',
  '.wasm': 'application/wasm', '.jpg': 'image/jpeg', '.svg': 'image/svg+xml',
};

/** Headers of pages that are isolated from other origins. */
export const ISOLATION = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };

async function listen(handler) {
  const server = createServer(handler);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.close();
    // Browsers keep theirs open.
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${server.address().port}/`, close };
}

/**
 * Serves a folder below a path of its own, as project pages are hosted.
 * @param {string} folder
 * @param {string} [base]
 * @param {(path: string) => {headers?: Record<string, string>, body?: string} | undefined} [own] answers of
 *   the test's own, by path below `base`, or headers for what the folder holds
 */
export async function serveFolder(folder, base = '/', own = () => undefined) {
  const host = await listen((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, 'http://x').pathname));
    const below = path.startsWith(base) ? path.slice(base.length) : '\0';
    const { headers, body } = own(below) ?? {};
    if (body !== undefined) {
      response.writeHead(200, { 'content-type': 'text/html', ...headers }).end(body);
      return;
    }
    let file = join(folder, below);
    if (existsSync(file) && statSync(file).isDirectory()) file = join(file, 'index.html');
    if (!existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream', ...headers });
    createReadStream(file).pipe(response);
  });
  return { ...host, url: `${host.url.slice(0, -1)}${base}` };
}

/** The built site, with pages of the test's own beside it. */
export const serveSite = (own) => serveFolder(DIST, '/', own);

/**
 * A host of the model, on another origin, that misbehaves as it is told: `cut` breaks the connection
 * after so many bytes, `parts: false` gives no parts, `redirect` sends elsewhere, `content` answers
 * with something else.
 * @param {(name: string, attempt: number) => {parts?: boolean, cut?: number, redirect?: string, content?: Buffer | string, endless?: boolean}} misbehave
 */
export async function modelHost(misbehave) {
  const requests = [];
  const host = await listen((request, response) => {
    const name = request.url.split('/').at(-1);
    const { range } = request.headers;
    if (request.method === 'OPTIONS') {
      response.writeHead(204, { 'access-control-allow-origin': '*', 'access-control-allow-headers': '*' }).end();
      return;
    }
    requests.push({ name, range });
    const answer = misbehave(name, requests.filter((one) => one.name === name).length);
    const { parts = true, cut, redirect, endless } = answer;
    const content = answer.content === undefined ? readFileSync(join(MODEL, name)) : Buffer.from(answer.content);
    // Only with the second may a script of another origin read where a part begins.
    const headers = { 'access-control-allow-origin': '*', 'access-control-expose-headers': 'content-range' };
    if (redirect) {
      response.writeHead(302, { ...headers, location: redirect }).end();
      return;
    }
    if (endless) {
      response.writeHead(200, headers);
      const piece = Buffer.alloc(1 << 16, ' ');
      const more = () => {
        while (!response.destroyed && response.write(piece));
      };
      response.on('drain', more);
      response.on('close', () => response.off('drain', more));
      more();
      return;
    }
    const start = parts && range ? Number(range.match(/\d+/)[0]) : 0;
    headers['content-length'] = content.length - start;
    if (start) headers['content-range'] = `bytes ${start}-${content.length - 1}/${content.length}`;
    response.writeHead(start ? 206 : 200, headers);
    if (cut) response.write(content.subarray(start, start + cut), () => setTimeout(() => response.destroy(), 100));
    else response.end(content.subarray(start));
  });
  return { ...host, requests };
}

/** Segments with a model of some host, without a user interface; the outcome, good or bad. */
export const segmentFrom = (page, model, image) =>
  page.evaluate(
    async ({ model, image }) => {
      const { createSegmenter } = await import('./engine.js');
      const segmenter = createSegmenter({ model, device: 'cpu', resolution: 64 });
      const loaded = [];
      segmenter.addEventListener('progress', ({ detail }) => detail.stage === 'download' && loaded.push(detail.loaded));
      try {
        const { mask } = await segmenter.segment(image, 'vegetation');
        return { pixels: mask.length, loaded };
      } catch ({ code, message }) {
        return { code, message };
      } finally {
        segmenter.close();
      }
    },
    { model, image },
  );
