const MOST = 24;
const STEP = 1.5;
/** CSS pixels that an arrow key moves the picture, or the point on it. */
const MOVE = 60;
const MOVE_POINT = 16;
/** CSS pixels that the point keeps from the edge of the view while there is more picture beyond. */
const MARGIN = 48;

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * Zoom and pan of a picture, by pointer, wheel, pinch and keyboard, and a point on it that the arrow
 * keys move. Only transforms are set, so that it stays smooth whatever the picture holds.
 */
export class Viewport {
  #view;
  #content;
  #onPoint;
  #onZoom;
  #pixels;
  /** Where the keyboard points, 0 to 1 on both axes. @type {{x: number, y: number} | undefined} */
  #at;
  #zoom = 1;
  #x = 0;
  #y = 0;
  /** Pointers that are down, by id. @type {Map<number, {x: number, y: number}>} */
  #pointers = new Map();

  /**
   * @param {HTMLElement} view what clips
   * @param {HTMLElement} content what moves, at the size of the view where the zoom is 1
   * @param {{onPoint: (at?: {x: number, y: number}, byKey?: boolean) => void, onZoom: (zoom: number) => void, pixels: () => {width: number, height: number} | undefined}} told
   *   `onPoint`: where the pointer or the keyboard is on the content, 0 to 1 on both axes; nothing
   *   when it has left. `pixels`: the size of what can be pointed at; without it arrow keys pan.
   */
  constructor(view, content, { onPoint, onZoom, pixels }) {
    this.#view = view;
    this.#content = content;
    this.#onPoint = onPoint;
    this.#onZoom = onZoom;
    this.#pixels = pixels;
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
    content.addEventListener("pointerleave", () => onPoint(this.#at, Boolean(this.#at)));
    view.addEventListener("blur", () => this.leave());
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
    style.setProperty("--zoom", String(this.#zoom));
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
    const arrow = ARROWS[event.key];
    if (event.key === "+" || event.key === "=") this.zoomBy(STEP, this.#place());
    else if (event.key === "-") this.zoomBy(1 / STEP, this.#place());
    else if (event.key === "0") this.fit();
    else if (event.key === "Escape" && this.#at) this.leave();
    else if (arrow && this.#pixels()) this.#movePoint(arrow, event.shiftKey);
    else if (arrow && this.#zoom > 1) {
      this.#x -= MOVE * arrow[0];
      this.#y -= MOVE * arrow[1];
      this.#apply();
    } else return;
    event.preventDefault();
  }

  /** Takes the point of the keyboard away. */
  leave() {
    if (!this.#at) return;
    this.#at = undefined;
    this.#onPoint();
  }

  /** The first arrow shows the point in the middle of what is in view; later ones move it. */
  #movePoint([across, down], byPixel) {
    const { width, height } = this.#home();
    const { width: columns, height: rows } = this.#pixels();
    const inView = (offset, length) => (length / 2 - offset) / (length * this.#zoom);
    const start = this.#at ?? { x: inView(this.#x, width), y: inView(this.#y, height) };
    const step = this.#at ? 1 : 0;
    const [right, below] = byPixel
      ? [1 / columns, 1 / rows]
      : [MOVE_POINT / (width * this.#zoom), MOVE_POINT / (height * this.#zoom)];
    // The middle of a pixel is in it for certain, its edge is not.
    const within = (share, count) => Math.min(1 - 0.5 / count, Math.max(0.5 / count, share));
    this.#at = {
      x: within(start.x + step * across * right, columns),
      y: within(start.y + step * down * below, rows),
    };
    this.#keepInView();
    this.#onPoint(this.#at, true);
  }

  #keepInView() {
    const { width, height } = this.#home();
    const shift = (offset, share, length) => {
      const place = offset + share * length * this.#zoom;
      const margin = Math.min(MARGIN, length / 4);
      return offset + Math.max(0, margin - place) - Math.max(0, place - (length - margin));
    };
    this.#x = shift(this.#x, this.#at.x, width);
    this.#y = shift(this.#y, this.#at.y, height);
    this.#apply();
  }

  /** Where the point is on the screen; what is zoomed by keys stays under it. */
  #place() {
    if (!this.#at) return undefined;
    const { left, top, width, height } = this.#content.getBoundingClientRect();
    return { clientX: left + this.#at.x * width, clientY: top + this.#at.y * height };
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
