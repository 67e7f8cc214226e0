/**
 * Sizes are in pixels: the root's font size belongs to the page around, and pages change it.
 *
 * Colours can be set from outside: --rrsis-accent, --rrsis-mask-color, --rrsis-surface,
 * --rrsis-ink, --rrsis-muted, --rrsis-line, --rrsis-stage, --rrsis-radius, --rrsis-stage-height.
 */
const CSS = `
:host {
  --accent: var(--rrsis-accent, #0b6b62);
  --on-accent: #fff;
  --surface: var(--rrsis-surface, #fff);
  --ink: var(--rrsis-ink, #17222b);
  --muted: var(--rrsis-muted, #5a6872);
  --line: var(--rrsis-line, #d9dfe2);
  --stage: var(--rrsis-stage, #eef2f1);
  --error: #a3271b;
  --error-ground: #fdf0ee;
  --radius: var(--rrsis-radius, 14px);
  --stage-height: var(--rrsis-stage-height, min(58vh, 620px));
  display: block;
  color: var(--ink);
  font: 16px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  text-align: start;
}
:host([hidden]) { display: none; }
@media (prefers-color-scheme: dark) {
  :host {
    --accent: var(--rrsis-accent, #5cc8b6);
    --on-accent: #06211d;
    --surface: var(--rrsis-surface, #172027);
    --ink: var(--rrsis-ink, #e8eef0);
    --muted: var(--rrsis-muted, #9dabb3);
    --line: var(--rrsis-line, #2d3a43);
    --stage: var(--rrsis-stage, #10181d);
    --error: #ff9d90;
    --error-ground: #33191a;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
p { margin: 0; }
button, input { font: inherit; color: inherit; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.visually-hidden {
  position: absolute; width: 1px; height: 1px; margin: -1px; padding: 0;
  overflow: hidden; clip-path: inset(50%); white-space: nowrap; border: 0;
}

.frame {
  position: relative; overflow: hidden;
  background: var(--surface); border: 1px solid var(--line); border-radius: var(--radius);
}

/* The picture, or the invitation to bring one. */
.stage { position: relative; background: var(--stage); min-height: 220px; }
.contours {
  position: absolute; inset: 0; width: 100%; height: 100%;
  color: var(--accent); opacity: 0.13; stroke-width: 1.5;
}
.has-picture .contours { display: none; }
.empty {
  position: relative; display: flex; flex-direction: column; align-items: center; justify-content: center;
  gap: 16px; min-height: 400px; padding: 36px 20px; text-align: center;
}
.invite { font-size: 20px; font-weight: 600; letter-spacing: -0.01em; text-wrap: balance; }
.ways { display: flex; flex-wrap: wrap; gap: 8px 12px; align-items: center; justify-content: center; }
.or { color: var(--muted); }
button {
  min-height: 44px; padding: 0 18px; border-radius: 10px; border: 1px solid transparent;
  background: var(--accent); color: var(--on-accent); font-weight: 600; cursor: pointer;
}
button:hover { filter: brightness(1.08); }
button:disabled { opacity: 0.5; cursor: default; filter: none; }
button.quiet, .replace, .run.cancels {
  background: var(--surface); color: var(--ink); border-color: var(--line); font-weight: 500;
}
.by-address { min-height: 44px; }
.address { display: flex; gap: 8px; width: min(100%, 460px); }
.address input { flex: 1; min-width: 0; min-height: 44px; padding: 0 12px; border-radius: 10px; border: 1px solid var(--line); background: var(--surface); }
.poster { position: relative; display: block; width: 100%; padding: 0; border: 0; border-radius: 0; background: var(--stage); overflow: hidden; }
.poster img { display: block; width: 100%; max-height: var(--stage-height); object-fit: cover; }
.poster-text {
  position: absolute; inset-block-end: 16px; inset-inline-start: 50%; translate: -50% 0;
  padding: 10px 18px; border-radius: 10px; background: var(--accent); color: var(--on-accent); white-space: nowrap;
}
.samples { display: flex; flex-wrap: wrap; gap: 12px; justify-content: center; margin-top: 10px; }
.samples:not(:has(.sample)):not(.slotted) { display: none; }
.sample {
  display: flex; flex-direction: column; width: 156px; min-height: 0; padding: 0; overflow: hidden; text-align: start;
  background: var(--surface); color: var(--ink); border-color: var(--line);
}
.sample:hover { filter: none; border-color: var(--accent); }
.sample img { display: block; width: 100%; aspect-ratio: 3 / 2; object-fit: cover; background: var(--line); }
.sample span { display: block; padding: 6px 10px 7px; font-size: 14px; font-weight: 500; }

.view { position: relative; display: grid; place-items: center; min-height: 220px; overflow: hidden; }
.view:focus-visible { outline-offset: -3px; }
.layers {
  position: relative; width: min(100%, calc(var(--stage-height) * var(--aspect, 1)));
  aspect-ratio: var(--aspect, 1); transform-origin: 0 0; touch-action: pan-x pan-y; cursor: crosshair;
}
.layers.zoomed { touch-action: none; cursor: grab; }
.layers.zoomed:active { cursor: grabbing; }
.layers canvas { position: absolute; inset: 0; width: 100%; height: 100%; }
.layers.pixels canvas { image-rendering: pixelated; }
.fill { opacity: var(--mask-opacity, 0.5); }
.no-fill .fill, .no-outline .outline { visibility: hidden; }
.comparing .fill, .comparing .outline { clip-path: inset(0 0 0 var(--swipe, 50%)); }
.comparing::after {
  content: ""; position: absolute; inset-block: 0; left: var(--swipe, 50%); width: 2px; margin-inline-start: -1px;
  background: #fff; box-shadow: 0 0 0 1px rgb(0 0 0 / 0.35); pointer-events: none;
}
/* As wide as the picture and half a thumb more on each side, so that the thumb lies on the line. */
.swipe {
  position: absolute; inset-block: 0; inset-inline: -22px; width: calc(100% + 44px); height: 100%; margin: 0;
  appearance: none; background: none; cursor: ew-resize; pointer-events: none; z-index: 1; direction: ltr;
}
.swipe::-webkit-slider-thumb {
  appearance: none; width: 44px; height: 44px; border-radius: 50%; border: 9px solid transparent; background: #fff padding-box;
  pointer-events: auto;
}
.swipe::-moz-range-thumb {
  width: 26px; height: 26px; border: 9px solid transparent; border-radius: 50%; background: #fff padding-box; pointer-events: auto;
}
/* As large on the screen at any zoom. */
.point {
  position: absolute; width: 0; height: 0; pointer-events: none; scale: calc(1 / var(--zoom, 1));
}
.point::before, .point::after {
  content: ""; position: absolute; border-radius: 50%; translate: -50% -50%;
}
.point::before { width: 22px; height: 22px; border: 2px solid #fff; box-shadow: 0 0 0 1.5px rgb(0 0 0 / 0.7), inset 0 0 0 1.5px rgb(0 0 0 / 0.7); }
.point::after { width: 4px; height: 4px; background: #fff; box-shadow: 0 0 0 1.5px rgb(0 0 0 / 0.7); }
.readout {
  position: absolute; inset-block-end: 12px; inset-inline-start: 12px; padding: 3px 9px; border-radius: 7px; pointer-events: none;
  background: rgb(10 16 20 / 0.78); color: #fff; font-size: 13px; font-variant-numeric: tabular-nums; max-width: calc(100% - 190px);
}
.zoom { position: absolute; inset-block-end: 12px; inset-inline-end: 12px; display: flex; border-radius: 10px; overflow: hidden; box-shadow: 0 1px 5px rgb(0 0 0 / 0.25); }
.zoom button { min-height: 38px; min-width: 40px; padding: 0 10px; border-radius: 0; background: var(--surface); color: var(--ink); font-weight: 500; }
.zoom button + button { border-inline-start: 1px solid var(--line); }
.zoom button:focus-visible { outline-offset: -3px; }
.zoom button:disabled { opacity: 1; color: var(--muted); }
.running .picture { animation: breathe 1.8s ease-in-out infinite alternate; }
@keyframes breathe { to { opacity: 0.72; } }
.replace {
  position: absolute; inset-block-start: 12px; inset-inline-end: 12px;
  min-height: 38px; padding: 0 14px; font-size: 15px; box-shadow: 0 1px 5px rgb(0 0 0 / 0.25);
}
.drop-hint {
  position: absolute; inset: 10px; display: none; place-items: center; border-radius: 10px;
  border: 2px dashed var(--accent); background: color-mix(in srgb, var(--surface) 86%, transparent);
  font-size: 20px; font-weight: 600; pointer-events: none;
}
.dragging .drop-hint { display: grid; }

/* The question. */
.ask { display: flex; gap: 10px; padding: 16px 16px 0; }
.expression {
  flex: 1; min-width: 0; min-height: 48px; padding: 0 14px; border-radius: 10px;
  border: 1px solid var(--line); background: var(--surface); font-size: 17px;
}
.expression::placeholder { color: var(--muted); opacity: 1; }
.expression:focus-visible { outline-offset: -1px; border-color: var(--accent); }
.run { min-height: 48px; min-width: 96px; }
.suggestions { display: flex; flex-wrap: wrap; gap: 8px; padding: 10px 16px 16px; }
.suggestions:empty { padding: 16px 0 0; }
.suggestions button {
  min-height: 32px; padding: 0 12px; border-radius: 16px; font-size: 14px; font-weight: 500;
  background: transparent; color: var(--muted); border-color: var(--line);
}
.suggestions button:hover { color: var(--ink); border-color: var(--accent); filter: none; }

/* What is going on. */
.progress { display: flex; align-items: center; gap: 12px; padding: 0 16px 14px; font-size: 15px; color: var(--muted); }
.bar { flex: 1; height: 6px; border-radius: 3px; background: var(--line); overflow: hidden; }
.bar i { display: block; height: 100%; width: var(--done, 0%); border-radius: 3px; background: var(--accent); transition: width 0.15s linear; }
.bar.endless i { width: 30%; animation: sweep 1.4s ease-in-out infinite; }
@keyframes sweep { from { transform: translateX(-110%); } to { transform: translateX(345%); } }
.progress-text { font-variant-numeric: tabular-nums; white-space: nowrap; }
.message, .note { padding: 12px 16px; overflow-wrap: anywhere; border-top: 1px solid var(--line); font-size: 15px; }
.message { color: var(--error); background: var(--error-ground); }
.note { color: var(--muted); }

/* The answer. */
.result { border-top: 1px solid var(--line); padding: 12px 16px 14px; display: grid; gap: 12px; }
.summary { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.summary .detail { color: var(--muted); }
.legend { list-style: none; margin: 0; padding: 0; display: grid; }
.layer { display: flex; align-items: center; gap: 10px; padding: 5px 0; border-top: 1px solid var(--line); min-width: 0; }
.layer:first-child { border-top: 0; }
.color { flex: none; width: 30px; height: 30px; padding: 2px; border: 1px solid var(--line); border-radius: 8px; background: var(--surface); cursor: pointer; }
.pick { display: flex; align-items: center; gap: 8px; min-width: 0; min-height: 38px; cursor: pointer; }
.pick input { flex: none; margin: 0; width: 17px; height: 17px; accent-color: var(--accent); }
.name { overflow-wrap: anywhere; font-weight: 500; }
.off .name, .off .amount { opacity: 0.55; }
.amount { margin-inline-start: auto; color: var(--muted); font-size: 15px; font-variant-numeric: tabular-nums; text-align: end; }
.amount span { white-space: nowrap; }
.row-buttons { display: flex; gap: 4px; flex: none; }
button.small { min-height: 34px; min-width: 34px; padding: 0 9px; border-radius: 8px; font-size: 14px; font-weight: 500; background: transparent; color: var(--ink); border-color: var(--line); }
button.small:disabled { opacity: 0.35; }
.single .pick input, .single .row-buttons button:is([data-name="↑"], [data-name="↓"]) { display: none; }
.controls { display: flex; flex-wrap: wrap; gap: 8px 18px; align-items: center; border-top: 1px solid var(--line); padding-top: 12px; }
.control { display: inline-flex; align-items: center; gap: 8px; color: var(--muted); font-size: 15px; min-height: 38px; }
.control input[type="range"] { width: 104px; height: 34px; accent-color: var(--accent); }
.threshold-value { min-width: 2.9em; font-variant-numeric: tabular-nums; }
.drawing, .gsd { min-height: 38px; padding: 0 8px; border: 1px solid var(--line); border-radius: 9px; background: var(--surface); color: var(--ink); }
.gsd { width: 84px; }
.quiet { min-height: 38px; padding: 0 14px; font-size: 15px; }
.compare[aria-pressed="true"] { border-color: var(--accent); color: var(--accent); }
.save { position: relative; margin-inline-start: auto; }
.save summary {
  display: flex; align-items: center; min-height: 38px; padding: 0 16px; border-radius: 10px; font-size: 15px; font-weight: 600;
  background: var(--accent); color: var(--on-accent); cursor: pointer; list-style: none;
}
.save summary::-webkit-details-marker { display: none; }
.save summary::after { content: ""; width: 7px; height: 7px; margin: -4px 0 0 10px; border: solid currentColor; border-width: 0 2px 2px 0; rotate: 45deg; }
.menu {
  position: absolute; inset-block-end: calc(100% + 6px); inset-inline-end: 0; z-index: 3; display: grid; min-width: 220px; padding: 6px;
  background: var(--surface); border: 1px solid var(--line); border-radius: 12px; box-shadow: 0 8px 28px rgb(0 0 0 / 0.22);
}
.menu button { min-height: 40px; padding: 0 12px; text-align: start; background: transparent; color: var(--ink); font-weight: 500; border-radius: 8px; }
.menu button:hover { background: var(--stage); filter: none; }
.attribution { padding: 0 16px 12px; font-size: 13px; color: var(--muted); }
.result:not([hidden]) + .attribution { padding-top: 0; }

@media (max-width: 560px) {
  .empty { min-height: 320px; padding: 28px 14px; }
  .samples { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 10px; width: 100%; }
  .sample { width: auto; }
  .ask { padding: 12px 12px 0; }
  .run { min-width: 76px; padding: 0 14px; }
  .suggestions { padding: 10px 12px 14px; }
  .progress { flex-direction: column; align-items: stretch; gap: 6px; padding: 0 12px 12px; }
  .bar { flex: none; }
  .progress-text { white-space: normal; }
  .result, .message, .note { padding-inline: 12px; }
  .attribution { padding-inline: 12px; }
  .layer { display: grid; grid-template-columns: auto minmax(0, 1fr) auto; gap: 0 10px; padding: 8px 0; }
  .layer .pick { grid-column: 2 / -1; }
  .amount { grid-column: 2; grid-row: 2; align-self: center; margin: 0; text-align: start; font-size: 14px; }
  .row-buttons { grid-column: 3; grid-row: 2; }
  .control:has([type="range"]) { flex: 1 1 100%; }
  .control input[type="range"] { flex: 1; width: auto; min-width: 60px; }
  /* Below the button in the corner. */
  .readout { max-width: calc(100% - 24px); inset-block: 58px auto; }
  .address { flex-direction: column; }
}
@media (prefers-reduced-motion: reduce) {
  * { transition: none !important; animation: none !important; }
  .bar.endless i { width: 100%; opacity: 0.55; }
}
@media (forced-colors: active) {
  .bar { border: 1px solid; }
  .bar i { background: Highlight; }
}`;

let sheet;

/** Styles a shadow root; one sheet serves all elements of a page. */
export function adoptStyles(root) {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(CSS);
  }
  root.adoptedStyleSheets = [sheet];
}
