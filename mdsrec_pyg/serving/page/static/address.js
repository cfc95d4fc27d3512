// What is asked for stands in the address, so that a view can be kept and passed on.

const LONGEST = 100; // items of a history

/** What the address asks for. */
export function readAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  const k = Number.parseInt(words.get("k") ?? "", 10);
  return {
    user: words.get("user"),
    history: words.getAll("item").slice(0, LONGEST),
    view: words.get("view") ?? "all",
    k: k >= 1 ? k : 10,
    seen: words.get("seen") === "yes",
  };
}

/** Writes it there, without a new step of the browser's history. */
export function writeAddress({ user, history, view, k, seen }) {
  const words = new URLSearchParams();
  if (user !== null) words.set("user", user);
  else for (const card of history.slice(-LONGEST)) words.append("item", card.item);
  if (view !== "all") words.set("view", view);
  if (k !== 10) words.set("k", k);
  if (seen) words.set("seen", "yes");
  window.history.replaceState(null, "", `#${words}`);
}
