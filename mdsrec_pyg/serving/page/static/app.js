// The page: reads what is chosen, asks the service, shows what it answers.

import { readAddress, writeAddress } from "./address.js";
import { ask } from "./api.js";
import { historyCard, shadows } from "./cards.js";
import { at, counted, delayed, el, say } from "./dom.js";
import { lookAt } from "./item.js";
import { cardOf, makePickers, showLimits } from "./pickers.js";
import { agreement, grid, sideBySide } from "./results.js";
import { ALL, COMPARE, only, recommendations, state } from "./state.js";

let running = null;
let drawnHistory = "[]";

const context = () => ({
  modalities: state.service.modalities,
  add: (card) => addItems([card]),
  look: (card) => lookAt(card, context()),
  leaveOut,
});

function note(text, kind = "") {
  return el("p", { class: `note ${kind}`, text });
}

// ---- history ------------------------------------------------------------------------------------

function chooseUser(user) {
  Object.assign(state, { user: String(user), history: [] });
  refresh();
}

function addItems(cards) {
  Object.assign(state, { user: null, history: [...state.history, ...cards] });
  say(`Added to the history, which now has ${counted(state.history.length, "item")}`);
  refresh();
}

function removeItem(place) {
  Object.assign(state, { user: null, history: state.history.filter((_, i) => i !== place) });
  refresh();
  const left = at("history").querySelectorAll(".remove");
  (left[Math.min(place, left.length - 1)] ?? at("item")).focus();
}

function showHistory() {
  const { history, user } = state;
  const count = history.length ? `${counted(history.length, "item")}, oldest first` : "";
  at("history-about").textContent = [user && `user ${user}`, count].filter(Boolean).join(" · ");
  at("clear").hidden = user === null && !history.length;
  at("start").hidden = !at("clear").hidden;
  const cards = JSON.stringify(history);
  if (cards === drawnHistory) return; // the focus may be in it
  drawnHistory = cards;
  at("history").replaceChildren(
    ...history.map((card, place) =>
      historyCard(card, place, {
        look: () => lookAt(card, context()),
        remove: () => removeItem(place),
      })));
  at("history").scrollLeft = at("history").scrollWidth; // the newest tell most
}

// ---- limits -------------------------------------------------------------------------------------

function leaveOut(card) {
  if (!state.exclude.some((other) => other.item === card.item)) state.exclude.push(card);
  say("Left out: it is under Limit the items");
  at("results").focus();
  showLimits(refresh);
  refresh();
}

// ---- recommendations ----------------------------------------------------------------------------

function summary(lists) {
  const count = counted(lists[0].items.length, "item");
  if (state.view === COMPARE) return agreement(lists) || count;
  const list = lists.at(-1);
  if (list.modality === null) return `${count}, all modalities`;
  const common = list.items.filter((item) =>
    lists[0].items.some((other) => other.item === item.item)).length;
  return `Only ${list.modality}: ${common} of ${counted(list.items.length, "item")} also with all modalities`;
}

function showNotes([{ dropped = [], source }]) {
  const notes = [];
  if (dropped.length) {
    const named = dropped.slice(0, 5).join(", ") + (dropped.length > 5 ? ", …" : "");
    notes.push(note(`Not in the catalog, so left out of the history: ${named}`, "warn"));
  }
  if (source === "popularity") {
    notes.push(note("Nothing is known of the history: these are the most popular items.", "warn"));
  }
  at("notes").replaceChildren(...notes);
}

function showAnswers(lists) {
  state.history = lists[0].history;
  showHistory();
  showNotes(lists);
  const list = lists.at(-1);
  const reference = list.modality === null ? null : lists[0].items;
  at("answers").replaceChildren(
    state.view === COMPARE
      ? sideBySide(lists, context()) : grid(list.items, { ...context(), reference }));
  at("results-about").textContent = summary(lists);
}

function busy(is) {
  at("results").setAttribute("aria-busy", String(is));
}

function showProblem(error) {
  at("answers").replaceChildren();
  at("results-about").textContent = "";
  at("notes").replaceChildren();
  at("problem").replaceChildren(note(error.message, "bad"));
}

async function refresh() {
  running?.abort();
  const own = (running = new AbortController());
  writeAddress(state);
  showHistory();
  at("problem").replaceChildren();
  if (state.user === null && !state.history.length) {
    at("notes").replaceChildren();
    at("results-about").textContent = "";
    at("answers").replaceChildren(
      el("p", { class: "empty", text: "They appear here once there is a history." }));
    busy(false);
    return;
  }
  busy(true);
  if (!at("answers").querySelector(".card, .column")) at("answers").replaceChildren(shadows(8));
  try {
    const lists = await recommendations(own.signal);
    if (!own.signal.aborted) showAnswers(lists);
  } catch (error) {
    if (error.name !== "AbortError" && !own.signal.aborted) showProblem(error);
  }
  if (running === own) busy(false);
}

// ---- controls -----------------------------------------------------------------------------------

function makeViews() {
  const { modalities } = state.service;
  const views = [[ALL, "All"]];
  if (modalities.length > 1) {
    views.push(...modalities.map((name) => [only(name), `Only ${name}`]), [COMPARE, "Side by side"]);
  }
  if (!views.some(([view]) => view === state.view)) state.view = ALL;
  at("modality-choices").replaceChildren(...views.map(([view, word]) =>
    el("label", {},
      el("input", {
        type: "radio", name: "view", value: view, checked: view === state.view,
        on: { change: () => { state.view = view; refresh(); } },
      }), el("span", { text: word }))));
}

function makeControls() {
  const later = delayed(refresh, 200);
  const most = Math.min(50, state.service.items, state.service.limits?.k ?? 50);
  state.k = Math.min(state.k, most);
  Object.assign(at("k"), { max: most, value: state.k });
  const show = () => {
    at("k-value").textContent = state.k;
  };
  at("k").addEventListener("input", () => {
    state.k = Number(at("k").value);
    show();
    later();
  });
  show();
  at("seen").checked = state.seen;
  at("seen").addEventListener("change", () => {
    state.seen = at("seen").checked;
    refresh();
  });
  at("clear").addEventListener("click", () => {
    Object.assign(state, { user: null, history: [] });
    refresh();
    at("item").focus();
  });
}

function showService() {
  const { name, items, users, modalities, model } = state.service;
  if (name) at("name").textContent = name;
  document.title = name ? `${name} · mdsrec` : "mdsrec";
  at("about").textContent = [
    counted(items, "item"), users === null ? null : counted(users, "user"), modalities.join(" + "),
  ].filter(Boolean).join(" · ");
  document.body.classList.toggle("bare", !state.service.images);
  at("about").title = model ? `model ${model}` : "";
}

async function showStart() {
  const { users } = state.service;
  if (users === null) at("start-text").textContent = "Put a history together by searching items.";
  const found = users === null
    ? (await ask("items", { limit: 3 })).items : (await ask("users", { limit: 6 })).users;
  const choices = users === null
    ? [["The first items of the catalog", () => addItems(found)]]
    : found.map(({ user }) => [String(user), () => chooseUser(user)]);
  at("start-choices").replaceChildren(...choices.map(([text, choose]) =>
    el("button", { type: "button", dir: "auto", text: text.slice(0, 40), on: { click: choose } })));
}

async function start() {
  busy(true);
  try {
    state.service = await ask("health");
    const { history, ...asked } = readAddress();
    Object.assign(state, asked);
    showService();
    makePickers({ chooseUser, addItems, refresh });
    makeViews();
    makeControls();
    state.history = history.map((item) => cardOf(item)); // the answer brings texts and pictures
    await Promise.all([refresh(), showStart()]);
  } catch (error) {
    showProblem(error);
  }
  at("main").removeAttribute("data-starting");
  busy(false);
}

// An address that is pasted into the page itself; #results is the skip link's.
window.addEventListener("hashchange", () => {
  if (location.hash.includes("=")) location.reload();
});

start();
