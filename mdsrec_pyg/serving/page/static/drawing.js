// An item among its neighbors, in SVG. An item stands at the same angle in the drawings of all
// modalities, so that what they share and what only one has is seen at once.

import { title } from "./cards.js";
import { svg } from "./dom.js";

const SIZE = 320, MIDDLE = SIZE / 2, NEAR = 95, FAR = 136;
let drawn = 0;

/** The angle of each item of some graphs, theirs in turn: each drawing fills its circle. */
export function places(graphs) {
  const items = new Set();
  const longest = Math.max(0, ...graphs.map((graph) => graph.items.length));
  for (let rank = 0; rank < longest; rank += 1) {
    for (const graph of graphs) if (graph.items[rank]) items.add(graph.items[rank].item);
  }
  const angle = (i) => (2 * Math.PI * i) / items.size - Math.PI / 2;
  return new Map([...items].map((item, i) => [item, angle(i)]));
}

function spot(card, graph, spots) {
  const scores = graph.items.map((other) => other.score);
  const [least, most] = [Math.min(...scores), Math.max(...scores)];
  const strength = most > least ? (card.score - least) / (most - least) : 1;
  const far = FAR - (FAR - NEAR) * strength;
  const angle = spots.get(card.item);
  return { x: MIDDLE + far * Math.cos(angle), y: MIDDLE + far * Math.sin(angle), strength };
}

function node(card, { x, y }, radius, kind, round, label) {
  const inside = card.image
    ? svg("image", {
        href: card.image, x: x - radius, y: y - radius, width: 2 * radius, height: 2 * radius,
        preserveAspectRatio: "xMidYMid slice", "clip-path": `url(#${round})`,
      })
    : svg("text", { x, y, class: "letter", text: label });
  return svg("g", { class: `node ${kind}` },
    svg("circle", { class: "ground", cx: x, cy: y, r: radius }), inside,
    svg("circle", { class: "ring", cx: x, cy: y, r: radius }), svg("title", { text: title(card) }));
}

/** Drawing of an item's neighborhood in one graph; it is read out as one sentence. */
export function drawing(card, graph, others, spots, look) {
  const round = `round-${(drawn += 1)}`;
  const at = graph.items.map((item) => spot(item, graph, spots));
  const shared = (item) => others.some((other) => other.items.some((one) => one.item === item));
  const between = graph.edges.map(([from, to]) =>
    svg("line", { class: "between", x1: at[from].x, y1: at[from].y, x2: at[to].x, y2: at[to].y }));
  const edges = at.map(({ x, y, strength }) =>
    svg("line", {
      class: "edge", x1: MIDDLE, y1: MIDDLE, x2: x, y2: y, "stroke-width": 1.5 + 4 * strength,
    }));
  const nodes = graph.items.map((item, i) => {
    const kind = shared(item.item) ? "shared" : "own";
    const made = node(item, at[i], 20, kind, round, String(item.rank));
    made.addEventListener("click", () => look(item));
    return made;
  });
  const words = graph.items.map((item) => title(item, 40)).join("; ");
  return svg("svg", {
    viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img",
    "aria-label": `Nearest to ${title(card, 60)}, strongest first: ${words}`,
  },
    svg("defs", {},
      svg("clipPath", { id: round, clipPathUnits: "objectBoundingBox" },
        svg("circle", { cx: 0.5, cy: 0.5, r: 0.5 }))),
    ...between, ...edges, ...nodes,
    node(card, { x: MIDDLE, y: MIDDLE }, 30, "middle", round, title(card).slice(0, 1).toUpperCase()));
}
