import { RrsisError } from "./errors.js";

/** Real manifests have some kilobytes. */
const MOST_BYTES = 4e6;

/** What one file of weights may have at most: more than this no browser gives in one piece. */
const MOST_FILE_BYTES = 2e9;

const PLAIN_NAME = /^[\w-][\w.-]*$/;

/**
 * Reads which files a model has. All else that a manifest says is judged by the program.
 * @param {Response} response
 * @param {URL} url
 * @returns {Promise<{text: string, files: {file: string, bytes: number, part: string, sha256: string}[]}>}
 */
export async function readManifest(response, url) {
  const refuse = (why) => new RrsisError("manifest", `The model's manifest ${url} cannot be read: ${why}.`);
  const text = await limitedText(response, refuse);
  let files;
  try {
    ({ files } = JSON.parse(text));
    for (const { file, bytes } of files) {
      if (typeof file !== "string" || !Number.isSafeInteger(bytes) || bytes < 0) throw new TypeError();
    }
  } catch {
    throw refuse("it is not a list of files in JSON");
  }
  // Fetched while the program still comes: no manifest sends the page to another host or folder.
  const stray = files.find(({ file }) => !PLAIN_NAME.test(file));
  if (stray) throw refuse(`"${stray.file.slice(0, 100)}" is not a plain file name`);
  const large = files.find(({ bytes }) => bytes > MOST_FILE_BYTES);
  if (large) throw refuse(`${large.file.slice(0, 100)} is to have ${large.bytes} bytes, more than a browser can hold`);
  return { text, files };
}

/** A host that answers without end must not fill the memory. */
async function limitedText(response, refuse) {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  const reader = (response.body ?? new Blob([]).stream()).getReader();
  for (;;) {
    const { done, value } = await reader.read().catch((error) => {
      throw refuse(`its download broke off (${error.message})`);
    });
    if (done) return text + decoder.decode();
    bytes += value.length;
    if (bytes > MOST_BYTES) {
      reader.cancel().catch(() => {});
      throw refuse(`it is longer than ${MOST_BYTES / 1e6} MB`);
    }
    text += decoder.decode(value, { stream: true });
  }
}
