// The fields that find users and items.

import { ask } from "./api.js";
import { chip, line } from "./cards.js";
import { combobox } from "./combobox.js";
import { at, counted, el } from "./dom.js";
import { state } from "./state.js";

const LIMIT = 12;
const LONGEST = 200; // of words that are searched for: the service takes no more

/** A card of which only the raw id is known. */
export const cardOf = (item) => ({ item, text: null, image: null });

async function findItems(query, signal) {
  if (query.length > LONGEST) return { choices: [], total: 0 };
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
  const { choices } = await findItems(words).catch(() => ({ choices: [] }));
  const exact = choices.find((card) => String(card.item) === words) ?? choices[0];
  const several = words.split(/[\s,;]+/).filter(Boolean);
  take(exact ? [exact] : several.map(cardOf)); // unknown ones are named by the answer
}

function itemPicker(id, hint, take) {
  combobox(at(`${id}-combo`), {
    id, hint, word: "item", find: findItems, show: line, choose: (card) => take([card]),
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
  itemPicker(name, "Search, or paste ids", (cards) => {
    for (const card of cards) {
      if (!state[name].some((other) => other.item === card.item)) state[name].push(card);
    }
    showLimits(changed);
    changed();
  });
}

/** All fields. Without a histories file there is none for users. */
export function makePickers({ chooseUser, addItems, refresh }) {
  at("user-field").hidden = state.service.users === null;
  combobox(at("user-combo"), {
    id: "user", hint: "Search users", word: "user", find: findUsers, show: userLine,
    choose: ({ user }) => chooseUser(user), typed: chooseUser,
  });
  itemPicker("item", "Search text or id", addItems);
  limitPicker("include", refresh);
  limitPicker("exclude", refresh);
}
