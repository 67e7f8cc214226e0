// The element's own style sheet. Colours and sizes that a page may want to change are custom
// properties with the prefix --rrsis-.

export const styles = new CSSStyleSheet();
styles.replaceSync(`
:host {
  --accent: var(--rrsis-accent, light-dark(#0b57d0, #a8c7fa));
  --on-accent: var(--rrsis-on-accent, light-dark(#fff, #062e6f));
  --surface: var(--rrsis-surface, light-dark(#fff, #1b1d21));
  --stage: var(--rrsis-stage, light-dark(#eef1f5, #121417));
  --line: var(--rrsis-line, light-dark(#d3d8e0, #3a3f47));
  --text: var(--rrsis-text, light-dark(#1c2024, #e6e8eb));
  --quiet: var(--rrsis-quiet, light-dark(#59626e, #a3abb6));
  --alarm: var(--rrsis-alarm, light-dark(#b3261e, #f2b8b5));
  color-scheme: light dark;
  display: block;
  max-width: 100%;
  font: 1rem/1.45 var(--rrsis-font, system-ui, sans-serif);
  color: var(--text);
}
:host([hidden]) { display: none; }
*, *::before, *::after { box-sizing: border-box; }
[hidden] { display: none !important; }

.frame {
  background: var(--surface);
  border: 1px solid var(--line);
  border-radius: 14px;
  overflow: hidden;
}
.stage {
  position: relative;
  display: grid;
  place-items: center;
  min-height: 15rem;
  background: var(--stage);
  transition: background 0.15s;
}
.stage.over { outline: 3px solid var(--accent); outline-offset: -8px; }
.picture { position: relative; display: grid; width: 100%; }
.picture canvas {
  grid-area: 1 / 1;
  display: block;
  width: 100%;
  height: min(68vh, 36rem);
  object-fit: contain;
}
.overlay { pointer-events: none; }
.invitation { padding: 2rem 1.25rem; text-align: center; color: var(--quiet); }
.invitation strong { display: block; margin-bottom: 0.25rem; font-size: 1.1rem; color: var(--text); }
.invitation button { margin-top: 0.9rem; }

.controls { display: grid; gap: 0.75rem; padding: 1rem; }
form { display: flex; gap: 0.5rem; flex-wrap: wrap; }
label.field { flex: 1 1 14rem; }
.visually-hidden {
  position: absolute; width: 1px; height: 1px; margin: -1px;
  overflow: hidden; clip-path: inset(50%); white-space: nowrap;
}
input[type='text'] {
  width: 100%; min-height: 2.75rem; padding: 0.5rem 0.85rem;
  font: inherit; color: inherit;
  background: var(--surface); border: 1px solid var(--quiet); border-radius: 10px;
}
button {
  min-height: 2.75rem; padding: 0.5rem 1.1rem;
  font: inherit; font-weight: 550; color: var(--text);
  background: transparent; border: 1px solid var(--line); border-radius: 10px;
  cursor: pointer;
}
button:hover:not(:disabled) { border-color: var(--accent); }
button.primary { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
button:disabled { opacity: 0.5; cursor: default; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }

.suggestions { display: flex; flex-wrap: wrap; gap: 0.4rem; margin: 0; padding: 0; list-style: none; }
.suggestions button { min-height: 2rem; padding: 0.15rem 0.75rem; font-weight: 400; font-size: 0.9rem; border-radius: 999px; }
.row { display: flex; align-items: center; justify-content: space-between; gap: 0.5rem 1.25rem; flex-wrap: wrap; }
.opacity { display: flex; align-items: center; gap: 0.6rem; font-size: 0.9rem; color: var(--quiet); }
.opacity input { accent-color: var(--accent); width: 9rem; min-height: 1.75rem; }
.status { min-height: 1.45em; margin: 0; font-size: 0.95rem; color: var(--quiet); overflow-wrap: anywhere; }
.status.problem { color: var(--alarm); }
.note { margin: 0; font-size: 0.85rem; color: var(--quiet); overflow-wrap: anywhere; }
progress { display: block; width: 100%; height: 6px; accent-color: var(--accent); }

@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
@media (forced-colors: active) { .frame, button { border-color: currentColor; } }
`);
