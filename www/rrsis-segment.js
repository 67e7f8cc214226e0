/**
 * <rrsis-segment>: an aerial image and an expression in, a mask out, computed on this machine.
 *
 * Importing this module downloads nothing heavy. The program and the weights of the language
 * encoder come when the text box gets the focus, those of the image encoder when an image arrives.
 * Attributes, methods and events are described in rrsis-segment.d.ts.
 */
import { abortReason, asRrsisError, RrsisError } from "./lib/errors.js";
import { fetchImage } from "./lib/image-input.js";
import { createSegmenter, DEFAULT_MODEL } from "./engine.js";
import { Found } from "./element/found.js";
import { receiveDrops } from "./element/drops.js";
import { drawPicture } from "./element/overlay.js";
import { markUsed, receivePaste, refusePaste } from "./element/paste.js";
import { openPicture } from "./element/picture.js";
import { readSamples, sampleButton } from "./element/samples.js";
import { adoptStyles } from "./element/styles.js";
import { TEMPLATE } from "./element/template.js";
import { deviceName, megabytes, percent, seconds, shortened, TimeLeft } from "./element/text.js";
import { Viewport } from "./element/viewport.js";
import { choices, remember, SUGGESTIONS } from "./element/vocabulary.js";

export { createSegmenter, DEFAULT_MODEL, RrsisError };

const MASK_COLOR = "#ff2d8a";

export class RrsisSegment extends HTMLElement {
  static observedAttributes = ["model", "src", "expression", "device", "precision", "threads", "resolution", "samples", "poster"];

  /** @type {Record<string, any>} parts of the shadow document by class name */
  #ui = {};
  /** @type {import("./engine.js").Segmenter | undefined} */
  #engine;
  /** @type {import("./element/picture.js").Picture | undefined} */
  #picture;
  /** @type {Found} */
  #found;
  #color = MASK_COLOR;
  /** @type {Viewport} */
  #viewport;
  /** Work in progress; the state settles when it reaches zero. */
  #pending = 0;
  /** The latest segmentation; earlier ones no longer draw. */
  #latest = 0;
  /** The latest image asked for; one that arrives after a later one is dropped. */
  #opening = 0;
  /** @type {AbortController | undefined} of the segmentation that the person started */
  #run;
  /** @type {AbortController | undefined} of the weights that are fetched ahead */
  #ahead;
  #fetchedAhead = new Set();
  #stage = "";
  #left = new TimeLeft();
  #connected = new AbortController();

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open", delegatesFocus: true });
    adoptStyles(root);
    root.append(TEMPLATE.content.cloneNode(true));
    for (const element of root.querySelectorAll("[class], [id]")) {
      this.#ui[element.id || element.classList[0]] ??= element;
    }
    this.#ui.slot = root.querySelector("slot");
    this.#found = new Found(this.#ui, {
      engine: () => this.#use(),
      fail: (error) => this.#fail(error),
      announce: (text) => this.#announce(text),
      changed: () => this.#pending === 0 && this.state !== "error" && this.#settle(),
    });
    this.#viewport = new Viewport(this.#ui.view, this.#ui.layers, {
      onPoint: (at, byKey) => this.#found.point(at, byKey),
      pixels: () => (this.#found.layers.length ? this.#picture : undefined),
      onZoom: (zoom) => this.#showZoom(zoom),
    });
    this.#listen();
  }

  connectedCallback() {
    this.#connected = new AbortController();
    for (const name of [...RrsisSegment.observedAttributes, "loading"]) this.#upgrade(name);
    if (!this.hasAttribute("state")) this.#setState("idle");
    receivePaste(this);
    this.#readColor();
    this.#listSamples();
    this.#showPoster();
    if (this.src && !this.#picture && !this.poster) this.#openSource();
  }

  disconnectedCallback() {
    this.#connected.abort();
    this.#cancel();
    this.#dropEngine();
    refusePaste(this);
  }

  attributeChangedCallback(name, before, after) {
    if (before === after) return;
    if (name === "expression") this.#ui.expression.value = after ?? "";
    if (["model", "device", "precision", "threads", "resolution"].includes(name)) {
      this.#cancel();
      this.#dropEngine();
      if (this.hasAttribute("state") && this.#pending === 0) this.#settle();
    }
    if (!this.isConnected) return;
    if (name === "poster") this.#showPoster();
    if (name === "src" && (this.#picture || !this.poster)) this.#openSource();
    if (name === "samples") this.#listSamples();
  }

  // Attributes as properties.

  /** Folder of the model: the one with `manifest.json`. */
  get model() {
    return this.getAttribute("model") ?? DEFAULT_MODEL;
  }
  set model(value) {
    this.#reflect("model", value);
  }
  /** URL of the image to show first. */
  get src() {
    return this.getAttribute("src") ?? "";
  }
  set src(value) {
    this.#reflect("src", value);
  }
  /** What the text box holds. */
  get expression() {
    return this.#ui.expression.value;
  }
  set expression(value) {
    this.#ui.expression.value = value ?? "";
  }
  /** "auto", "webgpu" or "cpu". */
  get device() {
    return this.getAttribute("device") ?? "auto";
  }
  set device(value) {
    this.#reflect("device", value);
  }
  /** How a CPU multiplies: "int8" or "f32". */
  get precision() {
    return this.getAttribute("precision") ?? "int8";
  }
  set precision(value) {
    this.#reflect("precision", value);
  }
  /** At most so many threads compute on a CPU; null: as many as there are, where the page may have several. */
  get threads() {
    const value = this.getAttribute("threads");
    return value === null ? null : Number(value);
  }
  set threads(value) {
    this.#reflect("threads", value);
  }
  /** Side that the image is resized to for the network; null: the model's own. */
  get resolution() {
    const value = this.getAttribute("resolution");
    return value === null ? null : Number(value);
  }
  set resolution(value) {
    this.#reflect("resolution", value);
  }
  /** URL of a list of samples. */
  get samples() {
    return this.getAttribute("samples") ?? "";
  }
  set samples(value) {
    this.#reflect("samples", value);
  }
  /** "eager" (default), or "lazy": `src` is not fetched before the element comes into view. */
  get loading() {
    return this.getAttribute("loading") === "lazy" ? "lazy" : "eager";
  }
  set loading(value) {
    this.#reflect("loading", value);
  }
  /** URL of a picture that stands for `src` until somebody presses it; "" for none. */
  get poster() {
    return this.getAttribute("poster") ?? "";
  }
  set poster(value) {
    this.#reflect("poster", value);
  }
  /** What was found in the picture, the topmost last. */
  get found() {
    return this.#found.layers.map(({ expression, color, visible, threshold, share, regions, result }) => ({
      expression, color, visible, threshold, share, regions, result,
    }));
  }
  /** "idle", "loading", "ready", "running", "done" or "error". */
  get state() {
    return this.getAttribute("state") ?? "idle";
  }

  // Methods.

  /** Loads the whole model and compiles it for the device. */
  async load() {
    await this.#work(() => this.#use().load());
  }

  /**
   * Shows the image, finds what the expression refers to, and shows the mask.
   * @param {Blob | ImageBitmap | HTMLImageElement | string} image
   * @param {string} expression
   * @param {{signal?: AbortSignal, threshold?: number}} [options]
   */
  async segment(image, expression, { signal, threshold } = {}) {
    const turn = ++this.#latest;
    return this.#work(async () => {
      if (signal?.aborted) throw abortReason(signal);
      const picture = await this.#show(image, signal);
      if (this.#ui.expression.value !== expression) this.#ui.expression.value = expression;
      const engine = this.#use();
      const result = await engine.segment(picture.source, expression, { signal, threshold });
      remember(expression);
      if (turn === this.#latest && picture === this.#picture) this.#showResult(result, expression, engine);
      this.#emit("result", { ...result, expression, source: picture.address ?? "" });
      return result;
    }, signal);
  }

  /** Shows a file that was dropped, chosen or pasted. @param {File} file */
  openFile(file) {
    markUsed(this);
    this.#open(file, []);
  }

  /** Removes what was found; the picture stays. */
  clear() {
    this.#found.clear();
    if (this.#pending === 0) this.#settle();
  }

  // Images.

  async #openSource() {
    if (!this.src) return;
    const { src } = this;
    if (this.loading === "lazy") await this.#seen();
    if (this.isConnected && src === this.src) this.#open(src, [], { whenSeen: true });
  }

  #showPoster() {
    const { poster, empty } = this.#ui;
    const waits = Boolean(this.poster && this.src && !this.#picture);
    poster.hidden = !waits;
    if (!this.#picture) empty.hidden = waits;
    const image = poster.querySelector("img");
    if (waits && image.getAttribute("src") !== this.poster) image.src = this.poster;
  }

  /**
   * Shows an image, and fetches what the network needs for it.
   * @param {File | string} image
   * @param {string[]} suggestions
   */
  async #open(image, suggestions, { whenSeen = false, credit = "" } = {}) {
    this.#cancelRun();
    try {
      await this.#work(() => this.#show(image));
    } catch {
      // Already said; the image that was there before stays.
      return;
    }
    this.#suggest(suggestions.length ? suggestions : SUGGESTIONS);
    this.#say("attribution", credit);
    if (whenSeen) await this.#seen();
    this.#fetchAhead("vision");
  }

  /** @param {Blob | ImageBitmap | HTMLImageElement | string} image @param {AbortSignal} [signal] */
  async #show(image, signal) {
    if (this.#picture && this.#picture.source === image) return this.#picture;
    const turn = ++this.#opening;
    const name = image instanceof File ? image.name : typeof image === "string" ? image.split(/[?#]/)[0] : "";
    const blob = typeof image === "string" ? await fetchImage(image, signal) : image;
    const picture = await openPicture(blob, name, (file) => this.#use().preview(file, { signal }));
    if (typeof image === "string") picture.address = image;
    if (signal?.aborted) throw abortReason(signal);
    // Another image was opened meanwhile: this one can still be computed, but is not shown.
    if (turn === this.#opening) this.#showPicture(picture);
    return picture;
  }

  #showPicture(picture) {
    const ui = this.#ui;
    this.#picture = picture;
    this.#say("note", "");
    this.#say("attribution", "");
    ui.frame.classList.add("has-picture");
    ui.empty.hidden = ui.poster.hidden = true;
    ui.view.hidden = false;
    ui.layers.style.setProperty("--aspect", String(picture.width / picture.height));
    drawPicture(ui.picture, picture.preview, picture.width, picture.height);
    // The canvas has its pixels now; a bitmap that is not the caller's own can go.
    if (picture.preview instanceof ImageBitmap && picture.preview !== picture.source) picture.preview.close();
    this.#viewport.leave();
    this.#viewport.fit();
    this.#found.begin(picture);
    this.#announce(`${this.#found.label} opened.`);
  }

  async #listSamples() {
    const { slot } = this.#ui;
    slot.replaceChildren();
    if (!this.samples) return;
    let samples;
    try {
      samples = await readSamples(this.samples);
    } catch (error) {
      // Samples are an extra: the element works without them.
      console.warn(`rrsis-segment: no samples (${error.message})`);
      return;
    }
    slot.replaceChildren(
      ...samples.map((sample) => {
        const button = sampleButton(sample);
        button.addEventListener("click", () => this.#openSample(sample.file, sample.expressions ?? [], creditOf(sample)));
        return button;
      }),
    );
  }

  async #openSample(url, expressions, credit = "") {
    markUsed(this);
    this.#ui.expression.focus({ preventScroll: true });
    await this.#open(url, expressions, { credit });
    if (!this.#ui.expression.value && expressions[0]) {
      this.#ui.expression.value = expressions[0];
      this.#ui.expression.select();
    }
  }

  // Runs.

  #ask() {
    const { expression } = this.#ui;
    this.#cancelRun();
    if (!this.#picture) {
      this.#fail(new RrsisError("image", "There is no image yet. Drop one, choose one, or pick a sample."));
      this.#ui.choose.focus();
      return;
    }
    const run = (this.#run = new AbortController());
    // A cancelled run may keep the worker busy for a moment before this one is heard of.
    this.#showProgress("Starting…");
    this.segment(this.#picture.source, expression.value, { signal: run.signal })
      .catch(() => {
        // Already said.
      })
      .finally(() => {
        if (this.#run === run) this.#run = undefined;
        this.#showRunButton();
      });
    this.#showRunButton();
  }

  #cancelRun() {
    this.#run?.abort();
    this.#run = undefined;
    this.#showRunButton();
  }

  /** Stops whatever the person may have started, downloads too. */
  #cancel() {
    this.#cancelRun();
    this.#ahead?.abort();
    this.#ahead = undefined;
    this.#fetchedAhead.clear();
  }

  #showRunButton() {
    const { run } = this.#ui;
    run.textContent = this.#run ? "Cancel" : "Find";
    run.classList.toggle("cancels", Boolean(this.#run));
  }

  /** Fetches a part of the model that will be needed soon. */
  async #fetchAhead(...parts) {
    const missing = parts.filter((part) => !this.#fetchedAhead.has(part));
    if (!missing.length || !this.isConnected) return;
    for (const part of missing) this.#fetchedAhead.add(part);
    const { signal } = (this.#ahead ??= new AbortController());
    try {
      const isQuiet = () => Boolean(this.#run);
      await this.#work(() => this.#use().load({ parts: missing, signal }), signal, isQuiet);
    } catch {
      // Said already; the run that needs the part tries again.
      for (const part of missing) this.#fetchedAhead.delete(part);
    }
  }

  #use() {
    if (!this.#engine) {
      const engine = createSegmenter({
        model: this.model,
        device: this.device,
        precision: this.precision,
        threads: this.threads ?? undefined,
        resolution: this.resolution ?? undefined,
      });
      engine.addEventListener("progress", ({ detail }) => {
        if (engine === this.#engine) this.#onProgress(detail);
      });
      this.#engine = engine;
    }
    return this.#engine;
  }

  #dropEngine() {
    this.#engine?.close();
    this.#engine = undefined;
  }

  /**
   * Every piece of work goes through here: state, errors, and the end of the progress bar.
   * @template T
   * @param {() => Promise<T>} work
   * @param {AbortSignal} [signal]
   * @param {() => boolean} [isQuiet] whether somebody else will tell of a failure
   * @returns {Promise<T>}
   */
  async #work(work, signal, isQuiet = () => false) {
    this.#say("message", "");
    if (this.state !== "running") this.#setState("loading");
    this.#pending += 1;
    let failure;
    const aborted = signal && new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(abortReason(signal)), { once: true });
    });
    try {
      return await (aborted ? Promise.race([work(), aborted]) : work());
    } catch (error) {
      if (signal?.aborted) throw error;
      failure = asRrsisError(error);
      throw failure;
    } finally {
      this.#pending -= 1;
      if (this.#pending === 0) {
        this.#ui.progress.hidden = true;
        this.#ui.frame.classList.remove("running");
        this.#stage = "";
      }
      if (failure && !isQuiet()) this.#fail(failure);
      else if (this.#pending === 0 && this.state !== "error") this.#settle();
    }
  }

  #settle() {
    this.#setState(this.#found.layers.length ? "done" : this.#engine?.complete ? "ready" : "idle");
  }

  // What is shown.

  #onProgress(progress) {
    const ui = this.#ui;
    const { stage } = progress;
    const running = stage === "running";
    if (this.state !== "error") this.#setState(running ? "running" : "loading");
    ui.frame.classList.toggle("running", running);
    const isDownload = stage === "download";
    if (isDownload) {
      const { loaded, total } = progress;
      const left = this.#left.of("download", loaded, total);
      this.#showProgress(`Loading the model: ${megabytes(loaded)} of ${megabytes(total)} MB${left}`, total ? loaded / total : 0);
    } else {
      const where = this.#engine?.device ? ` on ${deviceName(this.#engine.device)}` : "";
      const { tile, tiles } = progress;
      const part = tiles ? `: ${tile} of ${tiles} parts${this.#left.of("tiles", tile, tiles)}` : "";
      this.#showProgress(running ? `Looking${where}${part}…` : "Preparing the network…", tiles ? tile / tiles : undefined);
      this.#noteFallback(this.#engine);
    }
    // A download that is complete has nothing to show; the next stage follows at once.
    if (isDownload && progress.loaded >= progress.total && this.#stage !== "download") ui.progress.hidden = true;
    if (stage !== this.#stage && !ui.progress.hidden) {
      this.#stage = stage;
      this.#announce(isDownload ? "Loading the model." : ui["progress-text"].textContent);
    }
    this.#emit("progress", progress);
  }

  /** @param {string} text @param {number} [share] 0 to 1; without it the end is not known */
  #showProgress(text, share) {
    const { bar, progress } = this.#ui;
    progress.hidden = false;
    bar.classList.toggle("endless", share === undefined);
    if (share === undefined) {
      bar.removeAttribute("aria-valuenow");
    } else {
      bar.style.setProperty("--done", `${(100 * share).toFixed(1)}%`);
      bar.setAttribute("aria-valuenow", (100 * share).toFixed(0));
    }
    this.#ui["progress-text"].textContent = text;
  }

  #showResult(result, expression, engine) {
    const { share } = this.#found.add(expression, result, this.#color);
    const what = shortened(expression);
    const [before, after] = share === 0 ? ["Nothing found for “", "”."] : ["“", `”: ${percent(share)} of the image`];
    // Words that run from right to left must not turn the numbers around.
    const name = document.createElement("bdi");
    name.textContent = what;
    const detail = document.createElement("span");
    detail.className = "detail";
    detail.textContent = ` · ${seconds(result.timings.total_ms)} on ${deviceName(result.device)}`;
    this.#ui.summary.replaceChildren(before, name, after, detail);
    this.#noteFallback(engine, result.truncated);
    this.#announce(`${before}${what}${after}`);
  }

  #showZoom(zoom) {
    const ui = this.#ui;
    ui["zoom-out"].disabled = ui["zoom-fit"].disabled = zoom <= 1;
    // Pixels are shown as squares where they are larger than those of the screen.
    const { width } = ui.picture;
    ui.layers.classList.toggle("pixels", zoom > 1 && (zoom * ui.layers.clientWidth) / width > 2.5);
  }

  #noteFallback(engine, truncated = false) {
    const notes = [];
    if (engine?.fallback) notes.push(`Running on the CPU: ${engine.fallback}.`);
    if (truncated) {
      notes.push("The expression is longer than the network reads: only its first words counted.");
    }
    this.#say("note", notes.join(" "));
  }

  /** @param {RrsisError} error */
  #fail(error) {
    this.#say("message", error.message);
    this.#setState("error");
    this.#emit("error", { code: error.code, message: error.message });
  }

  #suggest(expressions) {
    this.#ui.suggestions.replaceChildren(
      ...expressions.map((expression) => {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = expression;
        button.addEventListener("click", () => {
          this.#ui.expression.value = expression;
          this.#ask();
        });
        return button;
      }),
    );
  }

  #say(part, text) {
    this.#ui[part].textContent = text;
    this.#ui[part].hidden = !text;
  }

  #announce(text) {
    this.#ui.announcer.textContent = text;
  }

  #setState(state) {
    if (this.getAttribute("state") !== state) this.setAttribute("state", state);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #readColor() {
    const color = getComputedStyle(this).getPropertyValue("--rrsis-mask-color").trim();
    if (/^#[0-9a-f]{6}$/i.test(color)) this.#color = color.toLowerCase();
  }

  // Wiring.

  #listen() {
    const ui = this.#ui;
    ui.choose.addEventListener("click", () => ui.file.click());
    ui.replace.addEventListener("click", () => ui.file.click());
    ui.file.addEventListener("change", () => {
      const [file] = ui.file.files;
      // The same file can be chosen again after it was mended.
      ui.file.value = "";
      if (file) this.openFile(file);
    });
    ui.expression.addEventListener("focus", () => {
      markUsed(this);
      ui.choices.replaceChildren(...choices().map((text) => Object.assign(document.createElement("option"), { value: text })));
      this.#fetchAhead("tokenizer", "text");
    });
    // Enter always asks, even while the button would cancel.
    ui.expression.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing) return;
      event.preventDefault();
      this.#ask();
    });
    ui.ask.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#run) this.#stopByPerson();
      else this.#ask();
    });
    ui.frame.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.#run) this.#stopByPerson();
    });
    ui["zoom-in"].addEventListener("click", () => this.#viewport.zoomBy(2));
    ui["zoom-out"].addEventListener("click", () => this.#viewport.zoomBy(1 / 2));
    ui["zoom-fit"].addEventListener("click", () => this.#viewport.fit());
    ui.poster.addEventListener("click", () => {
      this.#openSource();
      ui.expression.focus({ preventScroll: true });
    });
    ui["by-address"].addEventListener("click", () => {
      const form = ui.empty.querySelector(".address");
      form.hidden = !form.hidden;
      ui["by-address"].setAttribute("aria-expanded", String(!form.hidden));
      if (!form.hidden) form.querySelector("input").focus();
    });
    ui.empty.querySelector(".address").addEventListener("submit", (event) => {
      event.preventDefault();
      const address = ui.empty.querySelector("#address").value.trim();
      if (address) this.#open(address, []);
    });
    // Samples that the page brings itself: <button slot="samples" data-src="…" data-expression="…">.
    ui.slot.addEventListener("click", (event) => {
      const own = event.target.closest?.("[data-src]");
      if (own) this.#openSample(own.dataset.src, own.dataset.expression ? [own.dataset.expression] : []);
    });
    ui.slot.addEventListener("slotchange", () => {
      ui.samples.classList.toggle("slotted", ui.slot.assignedNodes().length > 0);
    });
    receiveDrops(ui.frame, (file) => this.openFile(file), (address) => this.#open(address, []));
  }

  #stopByPerson() {
    this.#cancel();
    this.#announce("Cancelled.");
  }

  /** Resolves when the element has come into view. */
  #seen() {
    if (typeof IntersectionObserver !== "function") return Promise.resolve();
    return new Promise((resolve) => {
      const observer = new IntersectionObserver((entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        observer.disconnect();
        resolve();
      });
      observer.observe(this);
      this.#connected.signal.addEventListener("abort", () => observer.disconnect(), { once: true });
    });
  }

  /** Takes over a property that was set before the element was defined. */
  #upgrade(name) {
    if (!Object.hasOwn(this, name)) return;
    const value = this[name];
    delete this[name];
    this[name] = value;
  }

  #reflect(name, value) {
    if (value === null || value === undefined) this.removeAttribute(name);
    else this.setAttribute(name, String(value));
  }
}

/** @param {import("./element/samples.js").Sample} sample */
function creditOf({ attribution, licence }) {
  return [attribution, licence].filter(Boolean).join(" · ");
}

if (!customElements.get("rrsis-segment")) customElements.define("rrsis-segment", RrsisSegment);
