import { fileOf } from "./picture.js";

/**
 * Takes what is dropped on an element: a file, or the address of a picture of another page.
 * @param {HTMLElement} frame has the class "dragging" while something is held over it
 * @param {(file: File) => void} onFile
 * @param {(address: string) => void} onAddress
 */
export function receiveDrops(frame, onFile, onAddress) {
  // Children are entered before their parents are left.
  let inside = 0;
  const show = () => frame.classList.toggle("dragging", inside > 0);
  const carriesFile = ({ dataTransfer }) => ["Files", "text/uri-list"].some((type) => dataTransfer?.types.includes(type));
  frame.addEventListener("dragenter", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    inside += 1;
    show();
  });
  frame.addEventListener("dragover", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  frame.addEventListener("dragleave", () => {
    inside = Math.max(0, inside - 1);
    show();
  });
  frame.addEventListener("drop", (event) => {
    inside = 0;
    show();
    const file = fileOf(event.dataTransfer);
    const lines = event.dataTransfer.getData("text/uri-list").split(/[\r\n]+/);
    const address = lines.find((line) => line && !line.startsWith("#"));
    if (!file && !address) return;
    event.preventDefault();
    if (file) onFile(file);
    else onAddress(address);
  });
}
