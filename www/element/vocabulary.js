/** What the network can be asked for: offered while typing, never required. */
export const VOCABULARY = [
  "building",
  "road",
  "vegetation",
  "water",
  "car",
  "vehicle",
  "light-duty vehicle",
  "heavy-duty vehicle",
  "van",
  "bus",
  "bare land",
  "airplane",
  "ship",
  "storage tank",
  "tennis court",
  "parking area",
  "runway",
  "building with tin roof",
  "building with concrete roof",
  "building with clay tile roof",
  "light-coloured car",
  "dark car",
  "car on the road",
  "vehicle on the road",
  "light-duty vehicle in the parking area",
  "building along the road",
  "building beside the water",
  "road along the water",
  "vegetation along the road",
  "vegetation beside the building",
];

/** What starts a search, shown as buttons where an image brings no expressions of its own. */
export const SUGGESTIONS = ["building", "vegetation", "water", "road", "car"];

/** Most expressions that are remembered. */
const MOST = 12;

/** What was asked for on this page, the latest first; gone when the page is left. @type {string[]} */
const asked = [];

/** @param {string} expression */
export function remember(expression) {
  const text = expression.trim();
  const before = asked.indexOf(text);
  if (before >= 0) asked.splice(before, 1);
  asked.unshift(text);
  asked.length = Math.min(asked.length, MOST);
}

/** What to offer: what was asked for, then the rest. */
export function choices() {
  return [...new Set([...asked, ...VOCABULARY])];
}
