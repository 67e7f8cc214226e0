import { fileOf } from "./picture.js";

/** Elements that are in the page, the one used last at the end. @type {Set<HTMLElement & {openFile(file: File): void}>} */
const present = new Set();

/**
 * Gives pasted image files to an element. A paste goes to the element that has the focus, else,
 * unless the person is typing elsewhere, to the one used last.
 * @param {HTMLElement & {openFile(file: File): void}} element
 */
export function receivePaste(element) {
  if (present.size === 0) document.addEventListener("paste", onPaste);
  present.add(element);
}

export function refusePaste(element) {
  present.delete(element);
  if (present.size === 0) document.removeEventListener("paste", onPaste);
}

export function markUsed(element) {
  if (present.delete(element)) present.add(element);
}

function onPaste(event) {
  const file = fileOf(event.clipboardData);
  if (!file || event.defaultPrevented) return;
  const path = event.composedPath();
  const typing = path.some(
    (node) => node instanceof HTMLElement && (node.isContentEditable || /^(INPUT|TEXTAREA)$/.test(node.tagName)),
  );
  // Away from any element only what is an image for certain is taken.
  const isElsewhere = typing || !file.type.startsWith("image/");
  const element = [...present].find((one) => path.includes(one)) ?? (isElsewhere ? undefined : [...present].at(-1));
  if (!element) return;
  event.preventDefault();
  element.openFile(file);
}
