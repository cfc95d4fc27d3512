// Why an item is recommended: modalities, voters of the history, interest center.

import { names, picture, tint, title } from "./cards.js";
import { el, percent } from "./dom.js";

/** A bar cut by the modalities' shares, with its words. */
export function shares(why, modalities) {
  const parts = modalities.map((name) => [name, why.modalities?.[name] ?? 0]);
  if (!parts.some(([, share]) => share > 0)) return null;
  return el("div", { class: "shares" },
    el("div", { class: "bar", "aria-hidden": "true" },
      ...parts.map(([name, share]) =>
        el("span", { class: tint(modalities, name), vars: { "--share": share } }))),
    el("ul", { class: "legend", "aria-label": "What each modality adds" },
      ...parts.map(([name, share]) =>
        el("li", { class: tint(modalities, name) },
          el("span", { text: name }), el("b", { text: percent(share) })))));
}

function voter(vote, modalities) {
  return el("li", { class: `voter ${tint(modalities, vote.modality)}` },
    picture(vote),
    el("span", { class: "title", dir: "auto", title: title(vote), text: title(vote, 90) }),
    el("span", { class: "share" },
      el("b", { text: percent(vote.share) }), el("small", { text: vote.modality })));
}

/** The items of the history that voted, the largest share first. */
export function voters(why, modalities, most) {
  const shown = (why.voters ?? []).slice(0, most);
  if (!shown.length) return null;
  return el("div", { class: "votes" },
    el("h4", { text: "Votes of the history" }),
    el("ul", {}, ...shown.map((vote) => voter(vote, modalities))));
}

/** The interest center, by the items that stand for it. */
export function center(why, modalities, large) {
  if (!why.center) return null;
  const { modality, number, items } = why.center;
  const words = !large && !items.some((card) => card.image);
  const faces = items.slice(0, words ? 3 : 5).map((card) =>
    words
      ? el("li", { class: "title", dir: "auto", text: title(card, 90) })
      : el("li", { title: title(card) }, picture(card),
          large ? names(card, 60) : el("span", { class: "unseen", dir: "auto", text: title(card, 60) })));
  const kind = large ? "large" : words ? "words" : "";
  return el("div", { class: `center ${tint(modalities, modality)}` },
    el("h4", {}, "Interest center ", el("span", { class: "tag", text: `${modality} ${number}` })),
    el("ul", { class: `typical ${kind}`, "aria-label": "Its most typical items" },
      ...faces));
}

/** All of it. */
export function reasons(why, modalities, large = false) {
  if (!why) return null;
  return el("div", { class: "why" },
    shares(why, modalities), voters(why, modalities, large ? 5 : 3), center(why, modalities, large));
}
