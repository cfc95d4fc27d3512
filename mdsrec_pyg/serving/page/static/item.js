// What is shown of one item: its text, why it is recommended, its neighbors in each graph.

import { names, picture, tint, title } from "./cards.js";
import { ask } from "./api.js";
import { at, el } from "./dom.js";
import { drawing, places } from "./drawing.js";
import { reasons } from "./why.js";

const KINDS = {
  votes: ["Votes", "The learned graph that the history votes over"],
  graph: ["Item graph", "Co-occurrence times affinity, as in the paper"],
  features: ["Features", "Cosine of the modality's features"],
  vectors: ["Vectors", "Cosine of the final item vectors"],
};

const NOTHING = "This model holds no graph, no features and no vectors: there are no neighbors to draw.";

let running = null;

function neighborList(graph, others, look) {
  return el("ol", { class: "neighbors" }, ...graph.items.map((card) => {
    const also = others.filter((other) => other.items.some((item) => item.item === card.item));
    const words = also.map((other) => other.modality).join(", ");
    return el("li", {},
      el("button", { class: "face", type: "button", on: { click: () => look(card) } },
        el("span", { class: "rank", text: card.rank }), picture(card),
        names(card, 80, also.length ? `also ${words}` : null),
        el("b", { text: Number(card.score.toPrecision(3)).toString() })));
  }));
}

function panel(graph, all, answer, modalities, spots, look) {
  const others = all.filter((other) => other !== graph);
  const name = graph.modality ?? "all modalities";
  const heading = el("h4", {}, el("span", { class: "dot", "aria-hidden": "true" }), name);
  const kind = graph.modality ? tint(modalities, graph.modality) : "all";
  if (!graph.items.length) {
    return el("section", { class: `graph ${kind}` }, heading,
      el("p", { class: "quiet", text: "No neighbors in this graph." }));
  }
  return el("section", { class: `graph ${kind}` }, heading,
    drawing(answer.item, graph, others, spots, look), neighborList(graph, others, look));
}

async function load(place, card, kind, context) {
  running?.abort();
  const own = (running = new AbortController());
  place.setAttribute("aria-busy", "true");
  try {
    const answer = await ask("neighbors", { item: card.item, kind, k: 8 }, own.signal);
    const spots = places(answer.graphs);
    const chosen = place.contains(document.activeElement);
    if (!answer.graphs.length) {
      place.replaceChildren(el("p", { class: "quiet", text: NOTHING }));
      place.setAttribute("aria-busy", "false");
      return;
    }
    place.replaceChildren(
      kinds(answer, (other) => load(place, card, other, context)),
      el("div", { class: "graphs" }, ...answer.graphs.map((graph) =>
        panel(graph, answer.graphs, answer, context.modalities, spots,
          (other) => lookAt(other, context)))));
    if (chosen) place.querySelector(":checked").focus();
  } catch (error) {
    if (error.name === "AbortError") return;
    place.replaceChildren(el("p", { class: "note bad", role: "alert", text: error.message }));
  }
  if (running === own) place.setAttribute("aria-busy", "false");
}

function legend({ kind, graphs }) {
  const meaning = KINDS[kind]?.[1];
  const lines = "The thicker and shorter a line, the stronger.";
  const rings = graphs.length > 1 ? " A dark ring: in the other graph, too." : "";
  return `${meaning ? `${meaning}. ` : ""}${lines}${rings}`;
}

function kinds(answer, choose) {
  const choices = answer.kinds.map((kind) => {
    const [word] = KINDS[kind] ?? [kind];
    return el("label", {},
      el("input", {
        type: "radio", name: "kind", value: kind, checked: kind === answer.kind,
        on: { change: () => choose(kind) },
      }), el("span", { text: word }));
  });
  return el("fieldset", { class: "segments" }, el("legend", { text: "Neighbors by" }),
    el("div", {}, ...choices),
    el("p", { class: "quiet", text: legend(answer) }));
}

/**
 * Opens the window about an item.
 * @param {object} card The item; with `why` where it is recommended.
 * @param {object} context modalities; add(card): puts it into the history.
 */
export function lookAt(card, context) {
  const dialog = at("about-item");
  const graphs = el("div", { class: "around", "aria-busy": "true" },
    el("p", { class: "quiet", text: "Looking for its neighbors …" }));
  dialog.replaceChildren(
    el("form", { method: "dialog", class: "close" },
      el("button", { class: "plain", "aria-label": "Close", type: "submit" },
        el("span", { "aria-hidden": "true", text: "×" }))),
    el("div", { class: "head" },
      picture(card),
      el("div", {},
        el("h3", { id: "item-title", tabindex: "-1", dir: "auto", text: title(card) }),
        el("p", { class: "id", dir: "auto", text: String(card.item) }),
        title(card) === (card.text ?? "").trim() || !card.text ? null
          : el("details", {}, el("summary", { text: "The whole text" }),
              el("p", { class: "long", dir: "auto", text: card.text })),
        el("button", {
          type: "button", class: "main",
          on: { click: () => { dialog.close(); context.add(card); } },
        }, "Add to the history"))),
    ...[reasons(card.why, context.modalities, true)].filter(Boolean),
    graphs);
  if (!dialog.open) dialog.showModal();
  at("item-title").focus();
  dialog.scrollTop = 0;
  load(graphs, card, null, context);
}
