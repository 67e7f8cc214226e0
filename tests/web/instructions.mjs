// How many instructions of WebAssembly a start and a mask take, in Node: `cargo xtask count` prints them.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { setFlagsFromString } from 'node:v8';

// Node 20 has relaxed SIMD behind a flag; later ones do not mind it.
setFlagsFromString('--experimental-wasm-relaxed-simd');

/** The ways of multiplying: bytes by dot products of four (processors with VNNI) or by sums of two, and f32. */
export const WAYS = ['int8, fours', 'int8, pairs', 'f32'];

/** What is counted, in this order. */
export const STEPS = ['tokenizer', 'text', 'vision', 'first mask', 'another image', 'another expression'];

/**
 * Counts what a counting module (xtask/src/build/count.rs) executes.
 *
 * @param {{script: string, model: string, images: string[]}} files the module's script, a model directory, two images
 * @param {string} way one of WAYS
 * @returns {Promise<Record<string, number>>} instructions of each of STEPS
 */
export async function countInstructions({ script, model, images }, way) {
  // A module has one memory, and chooses how it multiplies once: each way gets its own.
  const url = pathToFileURL(script);
  url.search = new URLSearchParams({ way });
  const { default: init, Segmenter } = await import(url);
  const { instructions } = await init({ module_or_path: readFileSync(script.replace(/\.js$/, '_bg.wasm')) });
  const counts = {};
  const counted = async (step, work) => {
    const before = instructions.value;
    await work();
    counts[step] = Number(instructions.value - before);
  };
  const manifest = readFileSync(join(model, 'manifest.json'), 'utf8');
  const precision = way.split(',')[0];
  const clock = way === 'int8, pairs' ? clockFor(instructions) : () => 0;
  const segmenter = await withClock(clock, () => Segmenter.open(manifest, 'cpu', precision, 1));
  for (const { part, file } of JSON.parse(manifest).files) {
    await counted(part, () => segmenter.load(file, readFileSync(join(model, file))));
  }
  const mask = async (image, expression) => (await segmenter.segment(readFileSync(image), expression)).free();
  await counted('first mask', () => mask(images[0], 'building'));
  await counted('another image', () => mask(images[1], 'building'));
  await counted('another expression', () => mask(images[1], 'water'));
  segmenter.free();
  return counts;
}

/** A clock for the module's own trial of both ways (choose_products): what takes more instructions is the faster one on it. */
function clockFor(instructions) {
  let time = 0;
  let last = instructions.value;
  return () => {
    const now = instructions.value;
    time += 1e4 / (Number(now - last) || Infinity);
    last = now;
    return time;
  };
}

async function withClock(now, work) {
  const real = Object.getOwnPropertyDescriptor(globalThis, 'performance');
  Object.defineProperty(globalThis, 'performance', { configurable: true, value: { now } });
  try {
    return await work();
  } finally {
    Object.defineProperty(globalThis, 'performance', real);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder, model, ...images] = process.argv.slice(2);
  const file = { script: join(folder, 'pkg', 'rrsis_cpu_relaxed.js'), model, images };
  const columns = [];
  for (const way of WAYS) columns.push(await countInstructions(file, way));
  console.log(`| millions of instructions | ${WAYS.join(' | ')} |\n|---|${'---:|'.repeat(WAYS.length)}`);
  for (const step of STEPS) {
    console.log(`| ${step} | ${columns.map((counts) => (counts[step] / 1e6).toFixed(1)).join(' | ')} |`);
  }
}
