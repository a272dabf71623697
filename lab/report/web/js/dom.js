// Elements. Whatever comes from the data goes in as text nodes and attributes, never as HTML.

/** el('p', {class: 'note'}, 'text', child, [more]): null and undefined children are left out. */
function el(tag, attributes = {}, ...children) {
  return build(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return build(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) {
      node.addEventListener(name.slice(2), value);
    } else {
      node.setAttribute(name, value === true ? '' : String(value));
    }
  }
  add(node, children);
  return node;
}

function add(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

function button(label, onclick, attributes = {}) {
  return el('button', {type: 'button', onclick, ...attributes}, label);
}

/** A button that is on or off; `change` hears of its new state. */
function toggle(label, on, change, attributes = {}) {
  return button(label, event => {
    const now = event.currentTarget.getAttribute('aria-pressed') !== 'true';
    event.currentTarget.setAttribute('aria-pressed', String(now));
    change(now);
  }, {'aria-pressed': String(on), ...attributes});
}

/** A disclosure whose inside is made when it is first opened. */
function disclosure(summary, make, attributes = {}) {
  const node = el('details', attributes, el('summary', {}, summary));
  let made = false;
  node.addEventListener('toggle', () => {
    if (node.open && !made) add(node, [make()]);
    made = made || node.open;
  });
  return node;
}

/** Text with its http addresses as links; any other scheme stays text. */
function linked(text) {
  return text.split(/(https?:\/\/[^\s<>"]*[^\s<>".,;:!?)\]])/).map((part, index) =>
      index % 2 === 1 ? el('a', {href: part, rel: 'noopener noreferrer'}, part) : part);
}

/** Tells people who do not see the page what has changed. */
function announce(text) {
  document.getElementById('status').textContent = text;
}

let lastId = 0;
function freshId(stem) {
  lastId += 1;
  return `${stem}-${lastId}`;
}
