/** The address of the page tells which sample is open and what was asked, so that it can be passed on. */

/** @param {HTMLElement & {src: string, expression: string}} element */
export function restoreFromLink(element) {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const image = wanted.get("image");
  // Only pictures of this site: a link must not make the page fetch from anywhere else.
  if (image) {
    const url = new URL(image, document.baseURI);
    if (url.origin === location.origin) element.src = url.href;
  }
  if (wanted.has("find")) element.expression = wanted.get("find").slice(0, 2000);
}

/** @param {HTMLElement} element */
export function linkToResults(element) {
  element.addEventListener("result", ({ detail: { source, expression } }) => {
    const url = new URL(location.href);
    url.hash = "";
    if (source) {
      const image = new URL(source, document.baseURI);
      const folder = new URL(".", document.baseURI).href;
      if (image.origin !== location.origin) return;
      const short = image.href.startsWith(folder) ? image.href.slice(folder.length) : image.pathname;
      url.hash = new URLSearchParams({ image: short, find: expression });
    }
    history.replaceState(null, "", url);
  });
}
