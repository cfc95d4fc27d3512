// What the page asks for, and the questions that follow from it.

import { send } from "./api.js";

export const ALL = "all";
export const COMPARE = "compare";
const ONLY = "only:"; // a modality may be called "all"

export const only = (modality) => `${ONLY}${modality}`;

export const state = {
  service: { modalities: [], items: 0, users: null },
  user: null,
  history: [], // cards, oldest first
  view: ALL,
  k: 10,
  seen: false,
  include: [],
  exclude: [],
};

/** The lists that a view needs, that of all modalities first. */
export function modalitiesOf(view) {
  if (view === COMPARE) return [null, ...state.service.modalities];
  return view === ALL ? [null] : [null, view.slice(ONLY.length)];
}

const ids = (cards) => cards.map((card) => card.item);

function body(modality) {
  const who = state.user === null ? { history: ids(state.history) } : { user: state.user };
  return {
    ...who,
    k: state.k,
    exclude_seen: !state.seen,
    include: state.include.length ? ids(state.include) : null,
    exclude: state.exclude.length ? ids(state.exclude) : null,
    modality,
    explain: state.service.modalities.length > 0, // others have no reasons to give
  };
}

/** The answers of a view, each with its modality. */
export async function recommendations(signal) {
  const asked = modalitiesOf(state.view).map(async (modality) => {
    const answer = await send("recommend", body(modality), signal);
    return { ...answer, modality };
  });
  return Promise.all(asked);
}
