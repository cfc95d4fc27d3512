// Recommendations: as cards, or the lists of all modalities side by side.

import { names, picture, tint, title } from "./cards.js";
import { counted, el } from "./dom.js";
import { reasons } from "./why.js";

/** How the place of an item has moved against the list of all modalities. */
function moved(item, reference) {
  const before = reference.find((other) => other.item === item.item)?.rank;
  if (before === undefined) return ["new", "only", "not among those of all modalities"];
  const step = before - item.rank;
  if (step === 0) return ["=", "same", "the same place as with all modalities"];
  return step > 0
    ? [`▲ ${step}`, "up", `${counted(step, "place")} higher than with all modalities`]
    : [`▼ ${-step}`, "down", `${counted(-step, "place")} lower than with all modalities`];
}

function mark(item, reference) {
  const [text, kind, meaning] = moved(item, reference);
  return el("span", { class: `moved ${kind}`, title: meaning },
    el("span", { "aria-hidden": "true", text }), el("span", { class: "unseen", text: meaning }));
}

function card(item, { modalities, reference, look, leaveOut }) {
  return el("li", { class: "card", "data-item": item.item },
    el("button", {
      class: "face", type: "button", "aria-label": `${item.rank}: ${title(item)}. Why and neighbors`,
      on: { click: () => look(item) },
    }, picture(item), el("span", { class: "rank", text: item.rank, "aria-hidden": "true" })),
    el("div", { class: "body" },
      names(item),
      el("p", { class: "facts" },
        el("span", { text: "score " }), el("b", { text: shown(item.score) }),
        reference ? mark(item, reference) : null),
      reasons(item.why, modalities),
      el("div", { class: "actions" },
        el("button", { type: "button", class: "plain", on: { click: () => look(item) } },
          "Neighbors", el("span", { class: "unseen", text: ` of ${title(item, 60)}` })),
        el("button", { type: "button", class: "plain", on: { click: () => leaveOut(item) } },
          "Leave out", el("span", { class: "unseen", text: ` ${title(item, 60)}` })))));
}

/** A score with four digits that count. */
export function shown(score) {
  return Number.isFinite(score) ? Number(score.toPrecision(4)).toString() : "–";
}

/** The cards of one list. */
export function grid(items, context) {
  return el("ol", { class: "grid" }, ...items.map((item) => card(item, context)));
}

function row(item, reference, look, single) {
  return el("li", { "data-item": item.item },
    el("button", { class: "face", type: "button", on: { click: () => look(item) } },
      el("span", { class: "rank", text: item.rank }), picture(item), names(item, 90),
      single ? mark(item, reference) : null));
}

function column(list, reference, { modalities, look }) {
  const single = list.modality !== null;
  const both = list.items.filter((item) => reference.some((other) => other.item === item.item));
  const about = single ? `${both.length} of ${list.items.length} also with all` : "each modality counts";
  return el("section", {
    class: `column ${single ? tint(modalities, list.modality) : "all"}`,
    "aria-label": single ? `Only ${list.modality}` : "All modalities",
  },
    el("h3", {}, el("span", { class: "dot", "aria-hidden": "true" }),
      single ? `Only ${list.modality}` : "All", el("small", { text: about })),
    el("ol", {}, ...list.items.map((item) => row(item, reference, look, single))));
}

/** What the single modalities agree on, in words. */
export function agreement(lists) {
  const single = lists.filter((list) => list.modality !== null);
  if (single.length < 2) return "";
  const [first, ...others] = single.map((list) => new Set(list.items.map((item) => item.item)));
  const common = [...first].filter((item) => others.every((set) => set.has(item))).length;
  const whose = single.map((list) => list.modality);
  const last = whose.pop();
  return `${whose.join(", ")} and ${last} have ${common} of ${first.size} in common`;
}

/** The lists side by side; what is pointed at is marked in each. */
export function sideBySide(lists, context) {
  const reference = lists[0].items;
  const place = el("div", {
    class: "columns", role: "group", "aria-label": "Lists side by side", tabindex: "0",
  }, ...lists.map((list) => column(list, reference, context)));
  const light = (event) => {
    const item = event.target.closest?.("[data-item]")?.dataset.item;
    for (const other of place.querySelectorAll("[data-item]")) {
      other.classList.toggle("twin", item !== undefined && other.dataset.item === item);
    }
  };
  place.addEventListener("pointerover", light);
  place.addEventListener("focusin", light);
  place.addEventListener("pointerleave", light);
  return place;
}
