// The fields that find users and items.

import { ask } from "./api.js";
import { chip, line } from "./cards.js";
import { combobox } from "./combobox.js";
import { at, counted, el } from "./dom.js";
import { state } from "./state.js";

const LIMIT = 12;

/** A card of which only the raw id is known. */
export const cardOf = (item) => ({ item, text: null, image: null });

async function findItems(query, signal) {
  const { items, total } = await ask("items", { query, limit: LIMIT }, signal);
  return { choices: items, total };
}

async function findUsers(query, signal) {
  const { users, total } = await ask("users", { query, limit: LIMIT }, signal);
  return { choices: users, total: total ?? users.length };
}

function userLine({ user, items }) {
  return el("span", { class: "line" },
    el("span", { class: "names" },
      el("span", { class: "title", dir: "auto", text: String(user).slice(0, 100) }),
      el("span", { class: "id", text: counted(items, "item") })));
}

/** What was typed or pasted: several ids, one id, or words whose best match is meant. */
async function typedItems(words, take) {
  const several = words.split(/[\s,;]+/).filter(Boolean);
  const { items } = await ask("items", { query: words, limit: LIMIT });
  const exact = items.find((card) => String(card.item) === words);
  if (exact ?? items[0]) take(exact ?? items[0]);
  else several.forEach((item) => take(cardOf(item))); // unknown ones are named by the answer
}

function itemPicker(id, hint, take) {
  combobox(at(`${id}-combo`), {
    id, hint, word: "item", find: findItems, show: line, choose: take,
    typed: (words) => typedItems(words, take),
  });
}

/** The chips of both lists, and how many there are. */
export function showLimits(changed) {
  for (const name of ["include", "exclude"]) {
    at(`${name}-list`).replaceChildren(...state[name].map((card) =>
      chip(card, () => {
        state[name] = state[name].filter((other) => other !== card);
        showLimits(changed);
        changed();
        at(name).focus();
      })));
  }
  const count = state.include.length + state.exclude.length;
  at("limits-count").textContent = count;
  at("limits-count").hidden = count === 0;
}

function limitPicker(name, changed) {
  itemPicker(name, "Search, or paste ids", (card) => {
    if (!state[name].some((other) => other.item === card.item)) state[name].push(card);
    showLimits(changed);
    changed();
  });
}

/** All fields. Without a histories file there is none for users. */
export function makePickers({ chooseUser, addItem, refresh }) {
  at("user-field").hidden = state.service.users === null;
  combobox(at("user-combo"), {
    id: "user", hint: "Search users", word: "user", find: findUsers, show: userLine,
    choose: ({ user }) => chooseUser(user), typed: chooseUser,
  });
  itemPicker("item", "Search text or id", addItem);
  limitPicker("include", refresh);
  limitPicker("exclude", refresh);
}
