/** `$ref` within one document: JSON pointers, anchors, and the document itself. */
import { isJsonObject, keyword, type Located, located, textAt } from './located.ts';
import { UnsupportedSchema } from './unsupported-schema.ts';

export class References {
  readonly #root: Located;
  #anchors: ReadonlyMap<string, Located> | null = null;

  constructor(root: Located) {
    this.#root = root;
  }

  /** The schema that a schema's `$ref` names; null where it has none. Throws UnsupportedSchema. */
  of(from: Located): Located | null {
    const reference = textAt(from, '$ref');
    if (reference === null) return null;
    const at = `${from.path}.$ref`;
    const id = textAt(this.#root, '$id') ?? '';
    const own = id !== '' && reference.startsWith(id) ? reference.slice(id.length) : reference;
    if (own === '' || own === '#') return this.#root;
    if (!own.startsWith('#')) throw new UnsupportedSchema(at, 'other documents are not supported: "#/$defs/NAME" is');
    const fragment = decode(own.slice(1), at);
    if (!fragment.startsWith('/')) {
      this.#anchors ??= anchors(this.#root);
      const found = this.#anchors.get(fragment);
      if (found === undefined) throw new UnsupportedSchema(at, `there is no $anchor "${fragment}"`);
      return found;
    }
    return this.#follow(fragment.slice(1).split('/'), at);
  }

  #follow(segments: readonly string[], at: string): Located {
    let value: unknown = this.#root.schema;
    let path = '';
    for (const segment of segments) {
      const key = segment.replaceAll('~1', '/').replaceAll('~0', '~');
      const next = Array.isArray(value) ? value[Number(key)] : isJsonObject(value) ? keyword(value, key) : undefined;
      if (next === undefined) throw new UnsupportedSchema(at, `there is nothing at "${segments.join('/')}"`);
      path += Array.isArray(value) ? `[${key}]` : `.${key}`;
      value = next;
    }
    return located(value, path);
  }
}

function decode(fragment: string, at: string): string {
  try {
    return decodeURIComponent(fragment);
  } catch {
    throw new UnsupportedSchema(at, 'is not a URI');
  }
}

/** Schemas by `$anchor`, wherever they stand. */
function anchors(root: Located): ReadonlyMap<string, Located> {
  const found = new Map<string, Located>();
  const open: { value: unknown; path: string }[] = [{ value: root.schema, path: '' }];
  while (open.length > 0) {
    const { value, path } = open.pop()!;
    if (Array.isArray(value)) value.forEach((item, i) => open.push({ value: item, path: `${path}[${i}]` }));
    if (!isJsonObject(value)) continue;
    const name = keyword(value, '$anchor');
    if (typeof name === 'string') found.set(name, { schema: value, path });
    for (const [key, item] of Object.entries(value)) {
      if (key !== 'enum' && key !== 'const') open.push({ value: item, path: `${path}.${key}` });
    }
  }
  return found;
}
