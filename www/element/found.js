import { asRrsisError, RrsisError } from "../lib/errors.js";
import { download, maskPng, overlayPng, stem } from "./exports.js";
import { freeColor, Layer } from "./layer.js";
import { showLegend } from "./legend.js";
import { drawLayers, shownSize } from "./overlay.js";
import { percent, shortened } from "./text.js";

/** How long the arrow keys rest before the probability is announced. */
const SAY_AFTER_MS = 400;

/**
 * What was found in the picture: the layers, what is drawn and said of them, and the files made of
 * them. None of it runs the network again.
 */
export class Found {
  #ui;
  #host;
  /** The last one on top. @type {Layer[]} */
  #layers = [];
  /** The layer that the threshold belongs to. @type {Layer | undefined} */
  #selected;
  /** Whether the slider has moved since the last mask was asked for, and whether one is on its way. */
  #moved = false;
  #following = false;
  /** @type {import("./picture.js").Picture | undefined} */
  #picture;
  #saying;
  /** Where the pointer or the keyboard is. @type {{at?: {x: number, y: number}, byKey: boolean}} */
  #pointed = { byKey: false };

  /**
   * @param {Record<string, any>} ui parts of the element by name
   * @param {{engine: () => import("../engine.js").Segmenter, fail: (error: RrsisError) => void, announce: (text: string) => void, changed: () => void}} host
   */
  constructor(ui, host) {
    this.#ui = ui;
    this.#host = host;
    this.#listen();
  }

  /** @returns {readonly Layer[]} */
  get layers() {
    return this.#layers;
  }

  /** Starts anew with a picture. */
  begin(picture) {
    this.#picture = picture;
    this.#ui.gsd.value = picture.gsd ? String(Number(picture.gsd.toPrecision(4))) : "";
    this.compare(false);
    this.clear();
  }

  /** Removes what was found; the picture stays. */
  clear() {
    this.#layers = [];
    this.#selected = undefined;
    this.#show();
  }

  /**
   * A new layer, or the same words' layer with a new result.
   * @param {string} color of the first layer
   */
  add(expression, result, color) {
    let layer = this.#layers.find((one) => one.expression === expression.trim());
    if (layer) layer.accept(result);
    else this.#layers.push((layer = new Layer(expression, freeColor(this.#layers, color), result)));
    layer.visible = true;
    this.#selected = layer;
    this.#show();
    this.#count(layer);
    return layer;
  }

  /** What the picture shows, in words. */
  get label() {
    const label = this.#picture?.name ? `Image ${this.#picture.name}` : "Image";
    const found = this.#layers.map(({ expression, share }) => `${shortened(expression)} ${percent(share)}`);
    return found.length ? `${label} with masks: ${found.join(", ")}` : label;
  }

  /**
   * Shows what the network thinks of a place, and says it where the keyboard went there.
   * @param {{x: number, y: number}} [at] 0 to 1
   */
  point(at, byKey = false) {
    const { readout, point } = this.#ui;
    const layer = this.#selected;
    this.#pointed = { at, byKey };
    readout.hidden = !at || !layer;
    point.hidden = readout.hidden || !byKey;
    clearTimeout(this.#saying);
    if (readout.hidden) return;
    const { width, height } = this.#picture;
    const place = `${Math.floor(at.x * width)}, ${Math.floor(at.y * height)}`;
    const probability = `${Math.round(100 * layer.probability(at.x, at.y))} %`;
    const name = document.createElement("bdi");
    name.textContent = shortened(layer.expression, 30);
    readout.replaceChildren(name, ` ${probability} · ${place}`);
    if (!byKey) return;
    point.style.left = `${100 * at.x}%`;
    point.style.top = `${100 * at.y}%`;
    // Once the keys rest: a held arrow would be read out for minutes.
    this.#saying = setTimeout(() => this.#host.announce(`${shortened(layer.expression, 30)} ${probability} at ${place}`), SAY_AFTER_MS);
  }

  /** Shows the masks in a part of the picture only. */
  compare(on) {
    const { compare, swipe, layers } = this.#ui;
    compare.setAttribute("aria-pressed", String(on));
    layers.classList.toggle("comparing", on);
    swipe.hidden = !on;
    layers.style.setProperty("--swipe", `${swipe.value}%`);
  }

  /** Metres a pixel, where they are known. */
  get #gsd() {
    const value = Number(this.#ui.gsd.value);
    return value > 0 ? value : undefined;
  }

  /** Everything that depends on the layers. */
  #show() {
    const { result, layers, threshold } = this.#ui;
    result.hidden = this.#layers.length === 0;
    if (this.#selected) threshold.value = String(Math.round(100 * this.#selected.threshold));
    this.#showThreshold();
    this.#showLegend();
    this.#draw();
    this.point(this.#pointed.at, this.#pointed.byKey);
    layers.setAttribute("aria-label", this.label);
  }

  #showThreshold() {
    this.#ui["threshold-value"].textContent = `${this.#ui.threshold.value} %`;
  }

  #showLegend() {
    const { legend } = this.#ui;
    const shown = { selected: this.#selected, gsd: this.#gsd };
    showLegend(legend, this.#layers, shown, (action, layer, value) => this.#change(action, layer, value));
    legend.classList.toggle("single", this.#layers.length === 1);
  }

  #draw() {
    const { fill, outline, layers } = this.#ui;
    if (!this.#picture) return;
    const { width, height } = this.#picture;
    const visible = this.#layers.filter((layer) => layer.visible);
    drawLayers({ fill, outline }, visible, shownSize(width, height), layers.clientWidth);
  }

  /** Regions are counted after the mask is shown: nobody waits for a number. */
  async #count(layer) {
    const { result } = layer;
    const regions = await this.#host.engine().countRegions(result).catch(() => undefined);
    if (layer.result !== result) return;
    layer.regions = regions;
    this.#showLegend();
  }

  #change(action, layer, value) {
    const at = this.#layers.indexOf(layer);
    if (action === "color") {
      layer.color = value;
      // New rows would close the browser's own picker.
      this.#draw();
      return;
    }
    if (action === "select") this.#selected = layer;
    else if (action === "visible") layer.visible = !layer.visible;
    else {
      this.#layers.splice(at, 1);
      if (action === "up") this.#layers.splice(at + 1, 0, layer);
      else if (action === "down") this.#layers.splice(at - 1, 0, layer);
      else this.#removed(layer);
    }
    this.#show();
    this.#host.changed();
  }

  #removed(layer) {
    if (this.#selected === layer) this.#selected = this.#layers.at(-1);
    this.#host.announce(`“${shortened(layer.expression)}” removed.`);
    // The row that had the focus is gone.
    this.#ui.expression.focus({ preventScroll: true });
  }

  /** Follows the slider, one mask at a time: a large one takes longer than a hand that moves. */
  async #moveThreshold() {
    this.#showThreshold();
    this.#moved = true;
    if (this.#following) return;
    this.#following = true;
    try {
      while (this.#moved && this.#selected) {
        this.#moved = false;
        const layer = this.#selected;
        const threshold = Number(this.#ui.threshold.value) / 100;
        const mask = await this.#host.engine().maskAt(layer.result, threshold);
        if (!this.#layers.includes(layer)) continue;
        layer.accept({ ...layer.result, mask, threshold });
        this.#showLegend();
        this.#draw();
        if (!this.#moved || layer !== this.#selected) this.#count(layer);
      }
    } catch (error) {
      this.#host.fail(asRrsisError(error));
    } finally {
      this.#following = false;
    }
  }

  /** @param {"mask" | "overlay" | "geojson" | "geotiff" | "copy"} what */
  async #save(what) {
    const layer = this.#selected;
    if (!layer) return;
    const engine = this.#host.engine();
    const { source, placed, name: file } = this.#picture;
    const name = [stem(file) || "image", stem(layer.expression)].filter(Boolean).join("-");
    const image = source instanceof Blob && placed ? source : undefined;
    try {
      if (what === "mask") download(await maskPng(layer.result), `${name}.png`);
      else if (what === "overlay") download(await this.#overlay(), `${name}-overlay.png`);
      else if (what === "copy") {
        // The promise goes in as it is: Safari wants the write within the click.
        await navigator.clipboard.write([new ClipboardItem({ "image/png": this.#overlay() })]);
        this.#host.announce("Copied.");
      } else if (what === "geotiff") {
        download(new Blob([await engine.toGeoTiff(layer.result, image)], { type: "image/tiff" }), `${name}.tif`);
      } else {
        const found = this.#layers.filter((one) => one.visible).map(({ expression, result }) => ({ expression, ...result }));
        const text = await engine.toGeoJson(found, { image, gsd: this.#gsd });
        download(new Blob([text], { type: "application/geo+json" }), `${name}.geojson`);
      }
    } catch (error) {
      this.#host.fail(new RrsisError("internal", `This could not be saved: ${error.message}`));
    }
  }

  #overlay() {
    const { picture, fill, outline, opacity, drawing } = this.#ui;
    return overlayPng([
      { canvas: picture, opacity: 1 },
      { canvas: fill, opacity: drawing.value === "outline" ? 0 : opacity.value / 100 },
      { canvas: outline, opacity: drawing.value === "fill" ? 0 : 1 },
    ]);
  }

  #listen() {
    const { layers, opacity, threshold, drawing, gsd, compare, swipe, save } = this.#ui;
    opacity.addEventListener("input", () => layers.style.setProperty("--mask-opacity", String(opacity.value / 100)));
    threshold.addEventListener("input", () => this.#moveThreshold());
    drawing.addEventListener("change", () => {
      layers.classList.toggle("no-fill", drawing.value === "outline");
      layers.classList.toggle("no-outline", drawing.value === "fill");
    });
    gsd.addEventListener("input", () => this.#showLegend());
    compare.addEventListener("click", () => this.compare(compare.getAttribute("aria-pressed") !== "true"));
    swipe.addEventListener("input", () => this.compare(true));
    const closeMenu = () => {
      save.open = false;
      save.querySelector("summary").focus();
    };
    save.addEventListener("toggle", () => {
      save.querySelector('[data-save="geotiff"]').hidden = !this.#picture?.placed;
      save.querySelector('[data-save="copy"]').hidden = typeof ClipboardItem !== "function" || !navigator.clipboard?.write;
    });
    save.addEventListener("click", (event) => {
      const what = event.target.dataset?.save;
      if (!what) return;
      closeMenu();
      this.#save(what);
    });
    save.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !save.open) return;
      event.stopPropagation();
      closeMenu();
    });
  }
}
