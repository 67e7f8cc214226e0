// <rrsis-segment>: drop an aerial image, type an expression, see what it refers to.
//
//   <script type="module" src="rrsis-segment.js"></script>
//   <rrsis-segment src="aerial.jpg" expression="building"></rrsis-segment>
//
// Nothing heavy is loaded before it is needed: text weights when the text box gets the focus,
// vision weights when an image arrives. All work happens in a worker.

import { createSegmenter, RrsisError } from './engine.js';
import { Picture } from './picture.js';
import { styles } from './styles.js';

export { createSegmenter, RrsisError };

const COLOUR = [255, 64, 129];
const SUGGESTIONS = ['building', 'vegetation', 'water', 'road', 'car'];
/** The most text that is shown back in a message. */
const QUOTED = 60;

const template = document.createElement('template');
template.innerHTML = `
  <div class="frame" part="frame">
    <div class="stage" part="stage">
      <div class="invitation">
        <strong>Drop an aerial or satellite image here</strong>
        or paste one. It stays on this device.
        <div><button type="button" class="choose primary" part="button">Choose an image</button></div>
      </div>
      <div class="picture" hidden>
        <canvas class="image" part="image" role="img" aria-label="The image"></canvas>
        <canvas class="overlay" part="overlay" aria-hidden="true"></canvas>
      </div>
    </div>
    <div class="controls" part="controls">
      <form>
        <label class="field">
          <span class="visually-hidden">What to find in the image</span>
          <input type="text" part="input" placeholder="What to find, e.g. building" autocomplete="off" autocapitalize="off" enterkeyhint="go">
        </label>
        <button type="submit" class="run primary" part="button">Find</button>
        <button type="button" class="cancel" part="button" hidden>Cancel</button>
      </form>
      <ul class="suggestions" aria-label="Examples"></ul>
      <progress max="1" aria-label="Progress" hidden></progress>
      <div class="row">
        <p class="status" part="status" role="status" aria-live="polite"></p>
        <label class="opacity" hidden>Mask <input type="range" min="0" max="1" step="0.05" value="0.55" aria-label="Opacity of the mask"></label>
        <button type="button" class="another" part="button" hidden>Another image</button>
      </div>
      <p class="note device" part="note" hidden></p>
      <p class="note truncated" part="note" hidden></p>
      <slot></slot>
    </div>
    <input type="file" accept="image/*,.tif,.tiff" class="file" hidden>
  </div>`;

export class RrsisSegment extends HTMLElement {
  static observedAttributes = ['src', 'expression', 'model', 'device'];

  #root = this.attachShadow({ mode: 'open' });
  #picture;
  #segmenter;
  #stopListening;
  /** What is shown: a Blob, an ImageBitmap, an HTMLImageElement or an address. */
  #source;
  #running;
  /** Counts images, so that a slow one cannot replace a later one. */
  #shown = 0;

  constructor() {
    super();
    this.#root.adoptedStyleSheets = [styles];
    this.#root.append(template.content.cloneNode(true));
    this.#picture = new Picture(this.#find('.image'), this.#find('.overlay'));
    this.#picture.opacity = 0.55;
    for (const text of SUGGESTIONS) {
      const button = Object.assign(document.createElement('button'), { type: 'button', textContent: text });
      button.setAttribute('part', 'suggestion');
      button.addEventListener('click', () => {
        this.expression = text;
        this.#submit();
      });
      const item = document.createElement('li');
      item.append(button);
      this.#find('.suggestions').append(item);
    }
    this.#listen();
  }

  connectedCallback() {
    this.setAttribute('state', this.getAttribute('state') ?? 'idle');
    document.addEventListener('paste', this.#paste);
  }

  disconnectedCallback() {
    document.removeEventListener('paste', this.#paste);
    this.#running?.abort(abortError());
    this.#forgetSegmenter();
  }

  attributeChangedCallback(name, before, after) {
    if (before === after) return;
    if (name === 'src' && after) this.#showAddress(after);
    if (name === 'expression') this.#find('input[type=text]').value = after ?? '';
    if (name === 'model' || name === 'device') this.#forgetSegmenter();
  }

  // --- attributes as properties ---------------------------------------------------------------

  /** idle | loading | ready | running | done | error */
  get state() {
    return this.getAttribute('state') ?? 'idle';
  }

  get model() {
    return this.getAttribute('model') ?? undefined;
  }
  set model(value) {
    this.#reflect('model', value);
  }

  get device() {
    const device = this.getAttribute('device');
    return device === 'webgpu' || device === 'cpu' ? device : 'auto';
  }
  set device(value) {
    this.#reflect('device', value);
  }

  get src() {
    return this.getAttribute('src') ?? undefined;
  }
  set src(value) {
    this.#reflect('src', value);
  }

  get expression() {
    return this.#find('input[type=text]').value;
  }
  set expression(value) {
    this.#find('input[type=text]').value = value ?? '';
  }

  /** Side in pixels that the image is resized to for the network; undefined: the model's own. */
  get resolution() {
    const value = Number(this.getAttribute('resolution'));
    return value > 0 ? value : undefined;
  }
  set resolution(value) {
    this.#reflect('resolution', value);
  }

  #reflect(name, value) {
    if (value === undefined || value === null) this.removeAttribute(name);
    else this.setAttribute(name, String(value));
  }

  // --- methods --------------------------------------------------------------------------------

  /** Loads the whole model. */
  async load() {
    await this.#load(['text', 'vision']);
  }

  /**
   * The mask of what an expression refers to, at the image's own size. Also shown in the element.
   *
   * @param {Blob | ImageBitmap | HTMLImageElement | string} image
   * @param {string} expression
   * @param {{ signal?: AbortSignal, threshold?: number }} [options]
   */
  async segment(image, expression, { signal, threshold } = {}) {
    const run = new AbortController();
    const signals = signal ? AbortSignal.any([signal, run.signal]) : run.signal;
    signals.throwIfAborted();
    this.#running = run;
    this.expression = expression;
    this.#setState('running', 'Starting …');
    try {
      if (image !== this.#source) await this.#show(image, signals);
      const engine = this.#engine();
      const options = { signal: signals, threshold, resolution: this.resolution };
      const answer = await engine.segment(image, expression, options);
      if (this.#running === run) this.#showResult(answer, expression, image);
      this.dispatchEvent(new CustomEvent('result', { detail: answer }));
      return answer;
    } catch (error) {
      if (signals.aborted) {
        if (this.#running === run) this.#setState(engineReady(this.#segmenter), 'Cancelled.');
      } else if (this.#running === run) {
        this.#showError(error);
      }
      throw error;
    } finally {
      if (this.#running === run) {
        this.#running = undefined;
        this.#busy(false);
      }
    }
  }

  // --- the model ------------------------------------------------------------------------------

  #engine() {
    if (!this.#segmenter) {
      this.#segmenter = createSegmenter({ model: this.model, device: this.device });
      this.#stopListening = this.#segmenter.onProgress((progress) => this.#showProgress(progress));
    }
    return this.#segmenter;
  }

  #forgetSegmenter() {
    this.#stopListening?.();
    this.#segmenter = undefined;
  }

  async #load(parts) {
    const quietly = this.state === 'running';
    if (!quietly) this.#setState('loading', 'Loading the model …');
    try {
      await this.#engine().load({ parts });
      this.#showDevice(this.#segmenter);
      if (this.state === 'loading') {
        this.#setState('ready', this.#source ? 'Ready. Type what to find and press Enter.' : 'Ready for an image.');
      }
    } catch (error) {
      if (!quietly) this.#showError(error);
      throw error;
    } finally {
      if (!quietly && this.state !== 'running') this.#busy(false);
    }
  }

  /** Loads ahead of need; whoever needs it later gets the error, if there is one. */
  #loadAhead(parts) {
    this.#load(parts).catch(() => {});
  }

  // --- user interface -------------------------------------------------------------------------

  #find(selector) {
    return this.#root.querySelector(selector);
  }

  #listen() {
    const stage = this.#find('.stage');
    const file = this.#find('.file');
    stage.addEventListener('dragover', (event) => {
      event.preventDefault();
      stage.classList.add('over');
    });
    stage.addEventListener('dragleave', () => stage.classList.remove('over'));
    stage.addEventListener('drop', (event) => {
      event.preventDefault();
      stage.classList.remove('over');
      const [dropped] = event.dataTransfer.files;
      const address = event.dataTransfer.getData('text/uri-list');
      if (dropped) this.#choose(dropped);
      else if (address) this.src = address;
    });
    for (const button of [this.#find('.choose'), this.#find('.another')]) {
      button.addEventListener('click', () => file.click());
    }
    file.addEventListener('change', () => {
      if (file.files[0]) this.#choose(file.files[0]);
      file.value = '';
    });
    this.#find('form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#find('input[type=text]').addEventListener('focus', () => this.#loadAhead(['text']), { once: true });
    this.#find('.cancel').addEventListener('click', () => this.#running?.abort(abortError()));
    this.#find('.opacity input').addEventListener('input', (event) => {
      this.#picture.opacity = event.target.value;
    });
  }

  /** Pastes reach the element that has the focus, or the only one on the page. */
  #paste = (event) => {
    const [pasted] = event.clipboardData?.files ?? [];
    if (!pasted) return;
    const focused = document.activeElement?.closest?.('rrsis-segment');
    if (focused ? focused !== this : document.querySelector('rrsis-segment') !== this) return;
    event.preventDefault();
    this.#choose(pasted);
  };

  async #choose(blob) {
    if (await this.#display(blob)) this.#loadAhead(['vision']);
  }

  #showAddress(address) {
    const image = new Image();
    // Pixels of other hosts can be read with their consent only.
    image.crossOrigin = 'anonymous';
    image.src = new URL(address, document.baseURI).href;
    const number = ++this.#shown;
    image.decode().then(
      () => number === this.#shown && this.#accept(image.src, image),
      () =>
        number === this.#shown &&
        this.#showError(
          new RrsisError('image', `The image ${quoted(address)} could not be loaded. If it is on another host, that host may not allow it (CORS): save it and drop it here.`),
        ),
    );
  }

  /** Shows what `segment` was called with, as far as the browser can. */
  async #show(image, signal) {
    if (image instanceof Blob) return void (await this.#display(image, { quietly: true }));
    this.#shown++;
    if (typeof image === 'string') {
      const element = new Image();
      element.crossOrigin = 'anonymous';
      element.src = new URL(image, document.baseURI).href;
      await element.decode().catch(() => {});
      signal.throwIfAborted();
      this.#accept(image, element.naturalWidth ? element : undefined);
    } else {
      this.#accept(image, image);
    }
  }

  /** Shows a file; false where it is not an image (then what was shown stays). */
  async #display(blob, { quietly = false } = {}) {
    const number = ++this.#shown;
    if (blob.size === 0) {
      if (!quietly) this.#showError(new RrsisError('image', `The file ${quoted(blob.name ?? '')} is empty.`));
      return false;
    }
    let bitmap;
    try {
      bitmap = await createImageBitmap(blob, { imageOrientation: 'from-image' });
    } catch {
      // TIFF is shown by few browsers, and read by the segmenter.
      if (!(await isTiff(blob))) {
        if (!quietly) {
          this.#showError(
            new RrsisError('image', `The file ${quoted(blob.name ?? '')} is not an image that can be read, or it is damaged. Use PNG, JPEG, WebP, BMP, GIF or TIFF.`),
          );
        }
        return false;
      }
    }
    if (number !== this.#shown) return false;
    this.#accept(blob, bitmap);
    bitmap?.close();
    return true;
  }

  #accept(source, drawable) {
    this.#source = source;
    if (drawable) this.#picture.show(drawable);
    else this.#picture.blank(512, 512);
    this.#find('.invitation').hidden = true;
    this.#find('.picture').hidden = false;
    this.#find('.another').hidden = false;
    this.#find('.opacity').hidden = true;
    this.#find('.note.truncated').hidden = true;
    this.#find('.image').setAttribute('aria-label', 'The image, without a mask');
    if (this.state === 'error' || this.state === 'done') this.#setState('ready', '');
    if (!this.#running) this.#say(drawable ? 'Type what to find and press Enter.' : 'This browser cannot show TIFF images; the mask will appear without them.');
  }

  async #submit() {
    if (!this.#source) {
      this.#showError(new RrsisError('image', 'There is no image yet: drop, paste or choose one first.'));
      return;
    }
    this.#running?.abort(abortError());
    // Shown in the element; whoever wants the error listens for the event.
    await this.segment(this.#source, this.expression).catch(() => {});
  }

  #showResult(answer, expression, image) {
    const { width, height, mask, truncated } = answer;
    if (image instanceof Blob && this.#find('.image').width !== width) this.#fit(width, height);
    this.#picture.draw(answer, COLOUR);
    let pixels = 0;
    for (const bit of mask) pixels += bit;
    const share = (100 * pixels) / mask.length;
    const seconds = Object.values(answer.timings).reduce((sum, ms) => sum + ms, 0) / 1000;
    const found = pixels
      ? `${quoted(expression)} covers ${share < 0.1 ? 'less than 0.1' : share.toFixed(1)} % of the image`
      : `Nothing found for ${quoted(expression)}`;
    this.#setState('done', `${found} (${seconds.toFixed(1)} s).`);
    this.#find('.image').setAttribute('aria-label', `The image with a mask: ${found}`);
    this.#find('.opacity').hidden = false;
    const note = this.#find('.note.truncated');
    note.hidden = !truncated;
    note.textContent = truncated ? 'The expression was longer than the network reads; its end was ignored.' : '';
    this.#showDevice(answer);
  }

  /** A TIFF's size is known only now. */
  #fit(width, height) {
    const canvas = this.#find('.image');
    if (Math.abs(canvas.width / canvas.height - width / height) > 0.02) this.#picture.blank(width, height);
  }

  #showDevice({ device, fallback }) {
    const note = this.#find('.note.device');
    note.hidden = device !== 'cpu' || !fallback;
    note.textContent = fallback ? `Running on the CPU, which is slower, because ${fallback}.` : '';
  }

  #showProgress(progress) {
    this.dispatchEvent(new CustomEvent('progress', { detail: progress }));
    if (this.state !== 'loading' && this.state !== 'running') return;
    const bar = this.#find('progress');
    if (progress.stage === 'download') {
      const { loaded, total } = progress;
      bar.hidden = false;
      bar.value = total ? loaded / total : 0;
      this.#say(`Loading the model: ${megabytes(loaded)} of ${megabytes(total)} MB`);
    } else {
      bar.hidden = false;
      bar.removeAttribute('value');
      this.#say({ loading: 'Unpacking the model …', compiling: 'Compiling for this graphics card …', running: 'Looking …' }[progress.stage]);
    }
  }

  #showError(error) {
    this.#setState('error', error.message);
    this.#busy(false);
    this.dispatchEvent(new CustomEvent('error', { detail: { code: error.code ?? 'internal', message: error.message } }));
  }

  #setState(state, message) {
    this.setAttribute('state', state);
    this.#busy(state === 'running' || state === 'loading');
    this.#find('.status').classList.toggle('problem', state === 'error');
    this.#say(message);
  }

  #busy(busy) {
    const running = busy && this.state === 'running';
    this.#find('.cancel').hidden = !running;
    this.#find('.run').hidden = running;
    if (!busy) this.#find('progress').hidden = true;
    this.#find('.frame').setAttribute('aria-busy', String(busy));
  }

  #say(message) {
    this.#find('.status').textContent = message;
  }
}

function abortError() {
  return new DOMException('The segmentation was cancelled.', 'AbortError');
}

function engineReady(segmenter) {
  return segmenter?.device ? 'ready' : 'idle';
}

function quoted(text) {
  return `“${text.length > QUOTED ? `${text.slice(0, QUOTED)}…` : text}”`;
}

function megabytes(bytes) {
  return (bytes / 1e6).toFixed(1);
}

async function isTiff(blob) {
  const head = new Uint8Array(await blob.slice(0, 4).arrayBuffer());
  const mark = String.fromCharCode(...head);
  return mark === 'II*\0' || mark === 'MM\0*';
}

if (!customElements.get('rrsis-segment')) customElements.define('rrsis-segment', RrsisSegment);
