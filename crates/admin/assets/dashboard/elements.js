// Elements of the page. Text from the balancer becomes text nodes, never HTML.
"use strict";

const byId = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element && name !== "role") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function drawing(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// A cell is a text, or an object: `text`, a `state` as its colour, a `note` below it, and a `hint` on hover.
function setCell(element, cell) {
  const { text, state, note, hint } = typeof cell === "object" ? cell : { text: String(cell) };
  const key = JSON.stringify([text, state, note]);
  if (element.dataset.key !== key) {
    element.dataset.key = key;
    element.replaceChildren(state ? make("span", { className: `state ${state}`, textContent: text }) : text);
    if (note) element.append(" ", make("small", { textContent: note }));
  }
  if (hint && element.title !== hint) element.title = hint;
  if (!hint) element.removeAttribute("title");
}

// Makes the children of `parent` that have a key match `items`, in their order. `create` makes the child of a new
// key. A child that is in its place stays untouched, and keeps focus, selection and scroll position.
function reconcile(parent, items, keyOf, create) {
  const known = new Map();
  for (const child of parent.children) if (child.dataset.item !== undefined) known.set(child.dataset.item, child);
  const wanted = items.map((item) => {
    const key = keyOf(item);
    const child = known.get(key) ?? create(item);
    known.delete(key);
    child.dataset.item = key;
    return child;
  });
  known.forEach((child) => child.remove());
  const isKeyed = (child) => child === null || child.dataset.item !== undefined;
  let at = parent.firstElementChild;
  const skip = () => {
    while (!isKeyed(at)) at = at.nextElementSibling;
  };
  skip();
  for (const child of wanted) {
    if (child === at) {
      at = at.nextElementSibling;
      skip();
    } else {
      parent.insertBefore(child, at);
    }
  }
  return wanted;
}
