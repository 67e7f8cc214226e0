const MOST = 24;
const STEP = 1.5;
/** CSS pixels that an arrow key moves the picture. */
const MOVE = 60;

/**
 * Zoom and pan of a picture, by pointer, wheel, pinch and keyboard. Only transforms are set, so that
 * it stays smooth whatever the picture holds.
 */
export class Viewport {
  #view;
  #content;
  #onPoint;
  #onZoom;
  #zoom = 1;
  #x = 0;
  #y = 0;
  /** Pointers that are down, by id. @type {Map<number, {x: number, y: number}>} */
  #pointers = new Map();

  /**
   * @param {HTMLElement} view what clips
   * @param {HTMLElement} content what moves, at the size of the view where the zoom is 1
   * @param {{onPoint: (at?: {x: number, y: number}) => void, onZoom: (zoom: number) => void}} told
   *   `onPoint`: where the pointer is on the content, 0 to 1 on both axes; nothing when it has left
   */
  constructor(view, content, { onPoint, onZoom }) {
    this.#view = view;
    this.#content = content;
    this.#onPoint = onPoint;
    this.#onZoom = onZoom;
    view.addEventListener("wheel", (event) => this.#onWheel(event), { passive: false });
    view.addEventListener("dblclick", (event) => {
      if (this.#isPicture(event)) this.zoomBy(event.shiftKey ? 1 / 2 : 2, event);
    });
    view.addEventListener("keydown", (event) => this.#onKey(event));
    content.addEventListener("pointerdown", (event) => this.#onDown(event));
    content.addEventListener("pointermove", (event) => this.#onMove(event));
    for (const type of ["pointerup", "pointercancel"]) {
      content.addEventListener(type, (event) => this.#pointers.delete(event.pointerId));
    }
    content.addEventListener("pointerleave", () => onPoint());
  }

  get zoom() {
    return this.#zoom;
  }

  /** The whole picture. */
  fit() {
    this.#zoom = 1;
    this.#x = this.#y = 0;
    this.#apply();
  }

  /**
   * @param {number} factor
   * @param {{clientX: number, clientY: number}} [at] what stays where it is; the middle by default
   */
  zoomBy(factor, at) {
    const before = this.#zoom;
    const zoom = Math.min(MOST, Math.max(1, before * factor));
    const box = this.#home();
    const x = (at?.clientX ?? box.left + box.width / 2) - box.left;
    const y = (at?.clientY ?? box.top + box.height / 2) - box.top;
    this.#x = x - ((x - this.#x) * zoom) / before;
    this.#y = y - ((y - this.#y) * zoom) / before;
    this.#zoom = zoom;
    this.#apply();
  }

  /** Where the content lies when nothing is zoomed. */
  #home() {
    const box = this.#content.getBoundingClientRect();
    return {
      left: box.left - this.#x,
      top: box.top - this.#y,
      width: box.width / this.#zoom,
      height: box.height / this.#zoom,
    };
  }

  #apply() {
    const { width, height } = this.#home();
    // No empty ground comes into view.
    this.#x = Math.min(0, Math.max(width * (1 - this.#zoom), this.#x));
    this.#y = Math.min(0, Math.max(height * (1 - this.#zoom), this.#y));
    const { style, classList } = this.#content;
    style.transform = this.#zoom === 1 ? "" : `translate(${this.#x}px, ${this.#y}px) scale(${this.#zoom})`;
    classList.toggle("zoomed", this.#zoom > 1);
    this.#view.classList.toggle("zoomed", this.#zoom > 1);
    this.#onZoom(this.#zoom);
  }

  #isPicture(event) {
    return event.composedPath().includes(this.#content);
  }

  #onWheel(event) {
    // A plain wheel scrolls the page, in somebody's documentation too.
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    this.zoomBy(Math.exp(-event.deltaY / (event.deltaMode ? 20 : 300)), event);
  }

  #onKey(event) {
    if (event.target !== this.#view || event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (event.key === "+" || event.key === "=") this.zoomBy(STEP);
    else if (event.key === "-") this.zoomBy(1 / STEP);
    else if (event.key === "0") this.fit();
    else if (moves[event.key] && this.#zoom > 1) {
      this.#x += MOVE * moves[event.key][0];
      this.#y += MOVE * moves[event.key][1];
      this.#apply();
    } else return;
    event.preventDefault();
  }

  #onDown(event) {
    if (event.button !== 0) return;
    this.#pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.#zoom > 1 || this.#pointers.size > 1) this.#content.setPointerCapture?.(event.pointerId);
  }

  #onMove(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) {
      const box = this.#content.getBoundingClientRect();
      this.#onPoint({ x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height });
      return;
    }
    const now = { x: event.clientX, y: event.clientY };
    if (this.#pointers.size === 2) {
      const [other] = [...this.#pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
      const distance = (point) => Math.hypot(point.x - other.x, point.y - other.y) || 1;
      const middle = { clientX: (now.x + other.x) / 2, clientY: (now.y + other.y) / 2 };
      this.zoomBy(distance(now) / distance(before), middle);
    } else if (this.#zoom > 1) {
      this.#x += now.x - before.x;
      this.#y += now.y - before.y;
      this.#apply();
    }
    this.#pointers.set(event.pointerId, now);
  }
}
