// A field that finds while one types: the combobox of the ARIA Authoring Practices, with a listbox.

import { counted, delayed, el, say } from "./dom.js";

/**
 * @param {HTMLElement} place Where it goes.
 * @param {object} options
 *   id, hint: of the field;
 *   find(words, signal): a promise of {choices, total} for what is typed;
 *   show(choice): what an option holds;
 *   word: what is found, for "3 items";
 *   choose(choice): an option was taken;
 *   typed(words): Enter without an option.
 */
export function combobox(place, options) {
  const { id, hint, find, show, word, choose, typed } = options;
  const list = el("ul", {
    id: `${id}-found`, role: "listbox", "aria-label": `Found ${word}s`, "aria-busy": "false",
  });
  const note = el("p", { class: "found", hidden: true });
  const popup = el("div", { class: "popup", hidden: true, tabindex: "-1" }, list, note);
  const input = el("input", {
    id, type: "text", role: "combobox", placeholder: hint, autocomplete: "off",
    spellcheck: "false", "aria-autocomplete": "list", "aria-expanded": "false",
    "aria-controls": `${id}-found`,
  });
  place.append(input, popup);
  let found = [], active = -1, running = null;

  function open(shown) {
    popup.hidden = !shown;
    input.setAttribute("aria-expanded", String(shown && found.length > 0));
    if (!shown) mark(-1);
  }

  function mark(index) {
    active = index;
    [...list.children].forEach((option, i) => {
      option.setAttribute("aria-selected", String(i === index));
      if (i === index) option.scrollIntoView({ block: "nearest" });
    });
    if (index < 0) input.removeAttribute("aria-activedescendant");
    else input.setAttribute("aria-activedescendant", `${id}-${index}`);
  }

  function tell(text) {
    note.textContent = text;
    note.hidden = !text;
  }

  function close() {
    running?.abort();
    list.setAttribute("aria-busy", "false");
    open(false);
  }

  function take(choice) {
    input.value = "";
    close();
    choose(choice);
  }

  async function search() {
    running?.abort();
    if (document.activeElement !== input) return; // left before the pause was over
    const own = (running = new AbortController());
    const words = input.value.trim();
    list.setAttribute("aria-busy", "true");
    if (!list.childElementCount) tell("Searching …");
    open(true);
    try {
      const { choices, total } = await find(words, own.signal);
      if (own.signal.aborted) return;
      found = choices;
      list.replaceChildren(
        ...found.map((choice, i) =>
          el("li", {
            id: `${id}-${i}`, role: "option", "aria-selected": "false",
            on: {
              pointerdown: (event) => event.preventDefault(), // the field keeps the focus
              click: () => take(choice),
            },
          }, show(choice))),
      );
      const more = total > found.length ? `${found.length} of ${counted(total, word)}: type more` : "";
      const none = found.length ? "" : `No ${word} found for “${words.slice(0, 60)}”`;
      tell(none || more);
      say(none || counted(total, word));
      open(true);
    } catch (error) {
      if (error.name === "AbortError") return;
      found = [];
      list.replaceChildren();
      tell(error.message);
      say(error.message);
      open(true);
    }
    if (running === own) list.setAttribute("aria-busy", "false");
  }

  const later = delayed(search, 160);

  function enter() {
    if (active >= 0 && found[active] !== undefined) take(found[active]);
    else if (input.value.trim()) {
      const words = input.value.trim();
      input.value = "";
      close();
      typed(words);
    }
  }

  function move(step) {
    if (popup.hidden) search();
    else if (found.length) {
      const places = found.length + 1; // one of them is the field itself
      mark(((active + 1 + step + places) % places) - 1);
    }
  }

  input.addEventListener("input", () => {
    mark(-1);
    running?.abort();
    running = null;
    list.setAttribute("aria-busy", "true");
    later();
  });
  input.addEventListener("focus", search);
  input.addEventListener("click", () => popup.hidden && search());
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    const keys = {
      ArrowDown: () => move(1),
      ArrowUp: () => move(-1),
      Enter: enter,
      Escape: () => {
        if (popup.hidden) input.value = "";
        close();
      },
    };
    if (!(event.key in keys) || event.isComposing) return;
    event.preventDefault();
    keys[event.key]();
  });
  return input;
}
