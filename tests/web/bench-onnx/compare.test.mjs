// The benchmark's judgement, which decides whether a ratio may be printed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agreement, order, ratio, summary } from './compare.mjs';

const own = { exact: true, margins: [[1, -1, 2, -2]], masks: [[1, 0, 1, 0]] };
const side = (margin, mask, exact = true) => ({ exact, margins: [margin], masks: [mask] });

test('f32 outputs agree within rounding and not beyond', () => {
  const close = agreement(side([1.001, -1, 2, -2], [1, 0, 1, 0]), own);
  assert.equal(close.agrees, true);
  assert.equal(ratio(3, 2, close), 1.5);
  const far = agreement(side([1.5, -1, 2, -2], [1, 0, 1, 0]), own);
  assert.equal(far.agrees, false);
  assert.equal(ratio(3, 2, far), null);
});

test('8-bit outputs may differ in logits, but must mark the same pixels', () => {
  assert.equal(agreement(side([1.5, -1, 2, -2], [1, 0, 1, 0], false), own).agrees, true);
  const other = agreement(side([1.5, 1, 2, -2], [1, 1, 1, 0], false), own);
  assert.equal(other.iou, 2 / 3);
  assert.equal(other.agrees, false);
});

test('what is missing, empty or not a number never agrees', () => {
  assert.equal(agreement(side([NaN, -1, 2, -2], [1, 0, 1, 0]), own).agrees, false);
  assert.equal(agreement(side([1, -1, 2], [1, 0, 1]), own).agrees, false);
  const nothing = side([-1, -1, -1, -1], [0, 0, 0, 0]);
  assert.equal(agreement(nothing, nothing).agrees, false);
  assert.equal(agreement({ exact: true, margins: [], masks: [] }, { margins: [], masks: [] }).agrees, false);
});

test('every side is first in its turn', () => {
  assert.deepEqual([0, 1, 2, 3].map((run) => order(['a', 'b', 'c'], run)[0]), ['a', 'b', 'c', 'a']);
});

test('the median of an even count lies between the two in the middle', () => {
  assert.deepEqual(summary([4, 1, 3, 2]), { median: 2.5, least: 1, most: 4 });
});
