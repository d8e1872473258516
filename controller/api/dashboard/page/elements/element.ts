/** The page's elements. Text from outside only ever becomes text. */

/** The element of an id, which is of a type. */
export function find<T extends Element>(id: string, type: new () => T): T {
  const element: Element | null = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`the page has no ${type.name} #${id}`);
  return element;
}

export function byId(id: string): HTMLElement {
  return find(id, HTMLElement);
}

/** Makes an element. */
export function make<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  properties: Partial<HTMLElementTagNameMap[Name]> = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

/** Sets the text of an element, if it is another one: what is selected or read aloud stays so. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Text in an element that is there only while there is some. */
export function setNotice(element: HTMLElement, text: string): void {
  setText(element, text);
  element.hidden = text === '';
}

interface Keyed<Item, Row extends HTMLElement> {
  readonly items: readonly Item[];
  readonly keyOf: (item: Item) => string;
  readonly create: (item: Item) => Row;
  readonly update: (row: Row, item: Item) => void;
}

/** Makes a parent's children those of `items`; rows that stay keep their focus. */
export function showRows<Item, Row extends HTMLElement>(
  parent: Element,
  { items, keyOf, create, update }: Keyed<Item, Row>,
): void {
  const known = new Map([...parent.children].map((row) => [(row as Row).dataset['key'], row as Row]));
  let previous: Element | null = null;
  for (const item of items) {
    const key = keyOf(item);
    const row = known.get(key) ?? create(item);
    row.dataset['key'] = key;
    known.delete(key);
    update(row, item);
    const next: Element | null = previous === null ? parent.firstElementChild : previous.nextElementSibling;
    if (row !== next) parent.insertBefore(row, next);
    previous = row;
  }
  for (const row of known.values()) row.remove();
}
