// Items as they are shown: picture, text, raw id.

import { el } from "./dom.js";

/** The color of a modality: its place among those of the model. */
export const tint = (modalities, name) => `m${Math.max(modalities.indexOf(name), 0) % 6}`;

/** What an item is called: the beginning of its text, or its id. */
export function title(card, longest = 160) {
  const text = (card.text ?? "").trim() || String(card.item);
  const letters = Array.from(text.slice(0, 2 * longest)); // halves of characters stay together
  return letters.length > longest ? `${letters.slice(0, longest).join("")} …` : text;
}

function hue(text) {
  let sum = 7;
  for (const letter of String(text)) sum = (sum * 31 + letter.codePointAt(0)) % 3600;
  return sum % 360;
}

function placeholder(card) {
  const [letter = "?"] = title(card).match(/[\p{L}\p{N}]/u) ?? [];
  return el("span", {
    class: "picture blank", "aria-hidden": "true", text: letter.toUpperCase(),
    vars: { "--hue": hue(card.item) },
  });
}

/** The picture of an item, or a field of its own color with its first letter. */
export function picture(card) {
  if (!card.image) return placeholder(card);
  const image = el("img", {
    class: "picture", src: card.image, alt: "", loading: "lazy", decoding: "async",
  });
  image.addEventListener("error", () => image.replaceWith(placeholder(card)), { once: true });
  return image;
}

/** Text and raw id, and a word beside it. */
export function names(card, longest, word = null) {
  const text = title(card, longest);
  const id = String(card.item);
  return el("span", { class: "names" },
    el("span", { class: "title", dir: "auto", text }),
    el("span", { class: "second" },
      text === id ? null : el("span", { class: "id", dir: "auto", text: id }),
      word ? el("span", { class: "tag", text: word }) : null));
}

/** A small line: picture and names. */
export const line = (card) => el("span", { class: "line" }, picture(card), names(card, 90));

/** An item of the history, with a button that takes it out. */
export function historyCard(card, place, { look, remove }) {
  return el("li", { class: "past" },
    el("button", {
      class: "face", type: "button", "aria-label": `About ${title(card)}`, on: { click: look },
    }, picture(card), names(card)),
    el("button", {
      class: "remove", type: "button", "aria-label": `Take ${title(card, 60)} out of the history`,
      "data-place": place, on: { click: remove },
    }, el("span", { "aria-hidden": "true", text: "×" })));
}

/** An item of a list of limits. */
export function chip(card, remove) {
  return el("li", { class: "chip" },
    el("span", { dir: "auto", text: title(card, 40) }),
    el("button", {
      type: "button", "aria-label": `Remove ${title(card, 40)}`, on: { click: remove },
    }, el("span", { "aria-hidden": "true", text: "×" })));
}

/** A pair of shadows in place of what is still to come. */
export function shadows(count) {
  return el("div", { class: "grid", "aria-hidden": "true" },
    ...Array.from({ length: count }, () =>
      el("div", { class: "card shadow" }, el("span", { class: "picture" }), el("span"), el("span"))));
}
