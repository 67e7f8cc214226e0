// What a start and a mask take, in instructions of WebAssembly: counted, so that what was gained does not leak away.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { DIST, MODEL, SLOW } from './harness.mjs';
import { STEPS, WAYS, countInstructions } from './instructions.mjs';

/** Where `cargo xtask test` has put the module that counts: not of builds that leave wasm-opt or this module out. */
const COUNTING = process.env.RRSIS_COUNTING;
const skip = !COUNTING && 'the module of browsers with relaxed SIMD was not built as it ships';

/**
 * At most, in millions, for each of STEPS: 5 % more than was counted (docs/benchmarks.md), because another compiler
 * orders things otherwise. Whoever makes something faster lowers these.
 */
const MOST = {
  'int8, fours': [93, 1770, 1478, 4292, 4337, 3147],
  'int8, pairs': [93, 1770, 1478, 5711, 5753, 4295],
  f32: [93, 1170, 1105, 10399, 10418, 8041],
};

describe('instructions', () => {
  for (const way of WAYS) {
    test(`instructions of a start and of masks: ${way}`, { timeout: SLOW, skip }, async () => {
      const files = {
        script: join(COUNTING, 'pkg', 'rrsis_cpu_relaxed.js'),
        model: MODEL,
        images: ['rotterdam-quay.jpg', 'rotterdam-streets.jpg'].map((name) => join(DIST, 'samples', name)),
      };
      const counts = await countInstructions(files, way);
      const over = STEPS.filter((step, i) => !(counts[step] <= MOST[way][i] * 1e6));
      assert.deepEqual(over, [], `more than ${MOST[way].join(', ')} million: ${JSON.stringify(counts)}`);
    });
  }
});
