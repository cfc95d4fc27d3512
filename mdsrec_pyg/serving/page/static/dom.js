// Elements. Text of others is only ever set as text: nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, options, children) {
  for (const [name, value] of Object.entries(options)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (name === "text") node.textContent = value;
    else if (name === "vars") {
      for (const [key, setting] of Object.entries(value)) node.style.setProperty(key, setting);
    } else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** An element: attributes by name, `text`, listeners in `on`, CSS variables in `vars`. */
export function el(tag, options = {}, ...children) {
  return fill(document.createElement(tag), options, children);
}

/** The same in SVG. */
export function svg(tag, options = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), options, children);
}

/** The element with an id. */
export const at = (id) => document.getElementById(id);

/** A function that is called once its callers have been quiet for some milliseconds. */
export function delayed(action, milliseconds) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), milliseconds);
  };
}

/** Says something to those who listen to the page. */
export function say(text) {
  at("heard").textContent = "";
  setTimeout(() => {
    at("heard").textContent = text;
  }, 50); // a change is what is read, also of the same words
}

/** 1 item, 2 items. */
export function counted(number, word) {
  return `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
}

/** A share as per cent; what is there is never 0 %. */
export function percent(share) {
  if (share > 0 && share < 0.01) return "< 1 %";
  return `${Math.round(100 * share)} %`;
}
