/** @param {HTMLElement} list @param {[string, string][]} facts */
function fillFacts(list, facts) {
  for (const [name, value] of facts) {
    const row = document.createElement("div");
    const term = document.createElement("dt");
    const text = document.createElement("dd");
    term.textContent = name;
    text.textContent = value;
    row.append(term, text);
    list.append(row);
  }
  list.hidden = facts.length === 0;
}

/** @param {HTMLElement} list @param {string[]} lines */
function fillLines(list, lines) {
  for (const line of lines) {
    const item = document.createElement("li");
    item.textContent = line;
    list.append(item);
  }
  list.hidden = lines.length === 0;
}

/** @param {number} count */
const millions = (count) => `${(count / 1e6).toFixed(1)} million`;

/** Fills in what the page says about the model from the model itself. */
export async function describeModel() {
  const response = await fetch("models/rrsis-small/manifest.json", { cache: "no-cache" });
  if (!response.ok) return;
  const { name, files = [], parameters, licenses = [], scores } = await response.json();
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  /** @type {[string, string][]} */
  const facts = [
    ["Name", name],
    ["Weights", `${(bytes / 1e6).toFixed(1)} MB`],
  ];
  if (parameters) facts.push(["Parameters", millions(parameters.text + parameters.vision)]);
  if (typeof scores?.miou === "number") facts.push(["Mean IoU, validation", scores.miou.toFixed(2)]);
  fillFacts(document.getElementById("model-facts"), facts);
  fillLines(
    document.getElementById("model-licences"),
    licenses.map(({ what, license, attribution }) =>
      [`${what}: ${license}`, attribution].filter(Boolean).join(". "),
    ),
  );
}
