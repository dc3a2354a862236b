"use strict";
const { columns, rows, names, pictures } = JSON.parse(document.getElementById("data").textContent);
const at = Object.fromEntries(columns.map((name, place) => [name, place]));
const PICTURE = columns.length, PAGE = 240;
const field = (id) => document.getElementById(id);
const filters = ["kind", "verdict", "mistaken_for", "model_version"];
const versions = [...new Set(rows.map((row) => row[at.model_version]))];
const key = (row) => JSON.stringify([row[at.subject], row[at.template], row[at.trial]]);
const byKey = new Map();
for (const row of rows) {
  const own = byKey.get(key(row)) ?? byKey.set(key(row), {}).get(key(row));
  own[row[at.model_version]] = row;
}
const folded = Object.fromEntries(Object.entries(names).map(([subject, name]) => [subject, name.toLowerCase()]));
let found = [], shown = 0;

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function choose() {
  const words = field("artist").value.trim().toLowerCase();
  const wanted = filters.map((id) => [at[id], field(id).value]).filter(([, value]) => value);
  found = rows.filter((row) => (!words || folded[row[at.subject]].includes(words)) && wanted.every(([place, value]) => row[place] === value));
  const [by, order] = field("sort").value.split(", ");
  if (order) {
    const place = at[by], sign = order.startsWith("highest") ? -1 : 1;
    const value = (row) => row[place] === null ? Infinity : sign * row[place];
    found = [...found].sort((a, b) => value(a) === value(b) ? 0 : value(a) - value(b));
  }
  const images = found.length;
  if (field("beside").checked) found = [...new Map(found.map((row) => [key(row), row])).values()];
  field("tiles").classList.toggle("beside", field("beside").checked);
  field("tiles").replaceChildren();
  field("found").textContent = `${images} of ${rows.length} images`;
  shown = 0;
  more();
}

function more() {
  const list = document.createDocumentFragment();
  for (const row of found.slice(shown, shown + PAGE)) list.append(field("beside").checked ? besides(row) : inList(tile(row)));
  field("tiles").append(list);
  shown = Math.min(found.length, shown + PAGE);
  field("more").hidden = shown >= found.length;
}

const inList = (...parts) => { const item = element("li"); item.append(...parts); return item; };

function besides(row) {
  const line = element("div", "", { class: "versions" });
  const own = byKey.get(key(row));
  for (const version of versions) line.append(own[version] ? tile(own[version]) : element("span", `${version}: no image`, { class: "tile" }));
  return inList(element("h2", `${names[row[at.subject]]}, template ${row[at.template]}, trial ${row[at.trial]}`), line);
}

function picture(row) {
  const content = pictures[row[PICTURE]];
  if (content === null) return element("span", "image missing or altered", { class: "none" });
  return element("img", "", { src: `data:image/webp;base64,${content}`, loading: "lazy", alt: `Image for ${names[row[at.subject]]} by ${row[at.model_version]}` });
}

const number = (value, digits) => value === null ? "–" : value.toFixed(digits);

function tile(row) {
  const made = element("button", "", { class: "tile", type: "button" });
  const name = element("bdi", names[row[at.subject]]);
  const taken = row[at.mistaken_for];
  made.append(picture(row), name, element("br"), row[at.model_version], element("br"),
    `p ${number(row[at.probability], 3)}, similarity ${number(row[at.similarity], 3)}`);
  if (taken !== null) made.append(element("br"), "taken for ", element("bdi", taken));
  if (row[at.status] !== "ok") made.append(element("br"), row[at.status]);
  made.addEventListener("click", () => known(row));
  return made;
}

function known(row) {
  const list = element("dl");
  const facts = [["name", names[row[at.subject]]], ...columns.map((name, place) => [name.replace("_", " "), row[place]])];
  for (const [name, value] of facts) list.append(element("dt", name), element("dd", value === null ? "–" : String(value)));
  const close = element("button", "Close", { type: "button" });
  close.addEventListener("click", () => field("known").close());
  field("known").replaceChildren(close, picture(row), list);
  field("known").showModal();
}

function move(step) {
  const tiles = [...document.querySelectorAll("button.tile")];
  const next = tiles[tiles.indexOf(document.activeElement) + step] ?? (step > 0 && !tiles.includes(document.activeElement) ? tiles[0] : null);
  if (next) next.focus();
}

for (const id of ["artist", ...filters, "sort", "beside"]) field(id).addEventListener("input", choose);
field("more").addEventListener("click", more);
document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || field("known").open) return;
  if (event.key === "Escape") return void document.activeElement.blur();
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName) && document.activeElement.type !== "checkbox") return;
  const keys = {
    "/": () => field("artist").focus(), ArrowRight: () => move(1), ArrowLeft: () => move(-1),
    v: () => { field("beside").checked = !field("beside").checked; choose(); },
    x: () => { document.querySelector("form").reset(); choose(); },
  };
  if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
});
choose();
