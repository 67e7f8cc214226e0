/**
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
.invite { font-size: 1.25rem; font-weight: 600; letter-spacing: -0.01em; text-wrap: balance; }
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
.samples { display: flex; flex-wrap: wrap; gap: 12px; justify-content: center; margin-top: 10px; }
.samples:not(:has(.sample)):not(.slotted) { display: none; }
.sample {
  display: flex; flex-direction: column; width: 156px; min-height: 0; padding: 0; overflow: hidden; text-align: start;
  background: var(--surface); color: var(--ink); border-color: var(--line);
}
.sample:hover { filter: none; border-color: var(--accent); }
.sample img { display: block; width: 100%; aspect-ratio: 3 / 2; object-fit: cover; background: var(--line); }
.sample span { display: block; padding: 6px 10px 7px; font-size: 0.875rem; font-weight: 500; }

.view { display: grid; place-items: center; min-height: 220px; }
.layers {
  position: relative; width: min(100%, calc(var(--stage-height) * var(--aspect, 1)));
  aspect-ratio: var(--aspect, 1);
}
.layers canvas { position: absolute; inset: 0; width: 100%; height: 100%; }
.fill { opacity: var(--mask-opacity, 0.5); }
.mask-off .fill, .mask-off .outline { visibility: hidden; }
.running .picture { animation: breathe 1.8s ease-in-out infinite alternate; }
@keyframes breathe { to { opacity: 0.72; } }
.no-preview { padding: 48px 24px; max-width: 34em; text-align: center; color: var(--muted); overflow-wrap: anywhere; }
.replace {
  position: absolute; inset-block-start: 12px; inset-inline-end: 12px;
  min-height: 38px; padding: 0 14px; font-size: 0.9375rem; box-shadow: 0 1px 5px rgb(0 0 0 / 0.25);
}
.drop-hint {
  position: absolute; inset: 10px; display: none; place-items: center; border-radius: 10px;
  border: 2px dashed var(--accent); background: color-mix(in srgb, var(--surface) 86%, transparent);
  font-size: 1.25rem; font-weight: 600; pointer-events: none;
}
.dragging .drop-hint { display: grid; }

/* The question. */
.ask { display: flex; gap: 10px; padding: 16px 16px 0; }
.expression {
  flex: 1; min-width: 0; min-height: 48px; padding: 0 14px; border-radius: 10px;
  border: 1px solid var(--line); background: var(--surface); font-size: 1.0625rem;
}
.expression::placeholder { color: var(--muted); opacity: 1; }
.expression:focus-visible { outline-offset: -1px; border-color: var(--accent); }
.run { min-height: 48px; min-width: 96px; }
.suggestions { display: flex; flex-wrap: wrap; gap: 8px; padding: 10px 16px 16px; }
.suggestions:empty { padding: 16px 0 0; }
.suggestions button {
  min-height: 32px; padding: 0 12px; border-radius: 16px; font-size: 0.875rem; font-weight: 500;
  background: transparent; color: var(--muted); border-color: var(--line);
}
.suggestions button:hover { color: var(--ink); border-color: var(--accent); filter: none; }

/* What is going on. */
.progress { display: flex; align-items: center; gap: 12px; padding: 0 16px 14px; font-size: 0.9375rem; color: var(--muted); }
.bar { flex: 1; height: 6px; border-radius: 3px; background: var(--line); overflow: hidden; }
.bar i { display: block; height: 100%; width: var(--done, 0%); border-radius: 3px; background: var(--accent); transition: width 0.15s linear; }
.bar.endless i { width: 30%; animation: sweep 1.4s ease-in-out infinite; }
@keyframes sweep { from { transform: translateX(-110%); } to { transform: translateX(345%); } }
.progress-text { font-variant-numeric: tabular-nums; white-space: nowrap; }
.message, .note { padding: 12px 16px; overflow-wrap: anywhere; border-top: 1px solid var(--line); font-size: 0.9375rem; }
.message { color: var(--error); background: var(--error-ground); }
.note { color: var(--muted); }

/* The answer. */
.result {
  display: flex; flex-wrap: wrap; gap: 10px 20px; align-items: center; justify-content: space-between;
  padding: 12px 16px; border-top: 1px solid var(--line);
}
.summary { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.summary .detail { color: var(--muted); }
.controls { display: flex; flex-wrap: wrap; gap: 8px 14px; align-items: center; }
.control { display: inline-flex; align-items: center; gap: 8px; color: var(--muted); font-size: 0.9375rem; }
.color { width: 34px; height: 34px; padding: 3px; border: 1px solid var(--line); border-radius: 8px; background: var(--surface); cursor: pointer; }
.opacity { width: 120px; height: 34px; accent-color: var(--accent); }
.quiet { min-height: 38px; padding: 0 14px; font-size: 0.9375rem; }
.toggle[aria-pressed="true"] { border-color: var(--accent); color: var(--accent); }
.attribution { padding: 0 16px 12px; font-size: 0.8125rem; color: var(--muted); }
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
  .controls { width: 100%; }
  .control:has(.opacity) { flex: 1; }
  .opacity { flex: 1; width: auto; min-width: 60px; }
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
