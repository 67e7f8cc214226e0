/**
 * @typedef {object} Sample
 * @property {string} file URL, relative to the list
 * @property {string} [thumb]
 * @property {string} title
 * @property {string} [alt]
 * @property {string} [attribution]
 * @property {string} [licence]
 * @property {string[]} [expressions]
 */

/**
 * Reads a list of samples; URLs in it become absolute.
 * @param {string} url
 * @returns {Promise<Sample[]>}
 */
export async function readSamples(url) {
  const list = new URL(url, document.baseURI);
  const response = await fetch(list);
  if (!response.ok) throw new Error(`${list}: ${response.status}`);
  const samples = await response.json();
  return samples.map((sample) => ({
    ...sample,
    file: new URL(sample.file, list).href,
    thumb: new URL(sample.thumb ?? sample.file, list).href,
  }));
}

/**
 * @param {Sample} sample
 * @returns {HTMLButtonElement}
 */
export function sampleButton(sample) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "sample";
  button.part.add("button", "sample");
  const image = document.createElement("img");
  image.loading = "lazy";
  image.alt = "";
  image.width = 148;
  image.height = 99;
  image.src = sample.thumb ?? sample.file;
  const title = document.createElement("span");
  title.textContent = sample.title;
  button.append(image, title);
  return button;
}
