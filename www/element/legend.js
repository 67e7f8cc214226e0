import { area, percent, shortened } from "./text.js";

/**
 * The list of layers, the topmost first.
 *
 * @param {HTMLElement} list
 * @param {import("./layer.js").Layer[]} layers the last one on top
 * @param {{selected?: import("./layer.js").Layer, gsd?: number}} shown
 * @param {(action: "select" | "color" | "visible" | "up" | "down" | "remove", layer: import("./layer.js").Layer, value?: string) => void} act
 */
export function showLegend(list, layers, { selected, gsd }, act) {
  const focused = list.getRootNode().activeElement?.dataset?.control;
  // Chromium 156 keeps radio buttons that were removed in their group, and with them the layer and its masks.
  for (const radio of list.querySelectorAll("input[type=radio]")) radio.name = "";
  list.replaceChildren(...layers.toReversed().map((layer) => row(layer, layers, selected, gsd, act)));
  // The button that was pressed keeps the focus although its row was made anew.
  if (focused) list.querySelector(`[data-control="${CSS.escape(focused)}"]`)?.focus();
}

function row(layer, layers, selected, gsd, act) {
  const name = shortened(layer.expression, 48);
  const item = document.createElement("li");
  item.className = "layer";
  item.part.add("layer");
  item.classList.toggle("off", !layer.visible);

  const color = input("color", layer.color, `Colour of “${name}”`);
  color.className = "color";
  color.addEventListener("input", () => act("color", layer, color.value));

  const pick = document.createElement("label");
  pick.className = "pick";
  const radio = input("radio", "", "");
  radio.removeAttribute("aria-label");
  radio.name = "layer";
  radio.checked = layer === selected;
  radio.addEventListener("change", () => act("select", layer));
  const text = document.createElement("bdi");
  text.className = "name";
  text.textContent = name;
  pick.append(radio, text);

  const amount = document.createElement("span");
  amount.className = "amount";
  // Lines break between two numbers, never inside one.
  for (const [place, text] of amounts(layer, gsd).entries()) {
    const number = document.createElement("span");
    number.textContent = text;
    amount.append(...(place ? [" · "] : []), number);
  }

  const at = layers.indexOf(layer);
  const buttons = document.createElement("span");
  buttons.className = "row-buttons";
  buttons.append(
    button(layer.visible ? "Hide" : "Show", `${layer.visible ? "Hide" : "Show"} “${name}”`, () => act("visible", layer)),
    button("↑", `Move “${name}” up`, () => act("up", layer), at === layers.length - 1),
    button("↓", `Move “${name}” down`, () => act("down", layer), at === 0),
    button("✕", `Remove “${name}”`, () => act("remove", layer)),
  );
  item.append(color, pick, amount, buttons);
  for (const control of item.querySelectorAll("button, input")) {
    control.dataset.control = `${layers.indexOf(layer)} ${control.dataset.name ?? control.type}`;
  }
  return item;
}

/** Share of the image, regions, and what they measure on the ground. */
export function amounts(layer, gsd) {
  const { regions, pixels } = layer;
  const said = [percent(layer.share)];
  if (regions !== undefined && pixels > 0) said.push(`${regions.toLocaleString("en")} ${regions === 1 ? "region" : "regions"}`);
  if (gsd && pixels > 0) said.push(area(pixels * gsd * gsd));
  return said;
}

function input(type, value, label) {
  const element = document.createElement("input");
  element.type = type;
  element.value = value;
  element.setAttribute("aria-label", label);
  return element;
}

function button(text, label, onClick, disabled = false) {
  const element = document.createElement("button");
  element.type = "button";
  element.className = "small";
  element.textContent = text;
  element.setAttribute("aria-label", label);
  element.dataset.name = text === "Show" || text === "Hide" ? "eye" : text;
  element.disabled = disabled;
  element.addEventListener("click", onClick);
  return element;
}
