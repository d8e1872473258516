/**
 * JSON objects read strictly: a key given twice is an error, because readers disagree about which value counts, and so is
 * nesting deep enough to exhaust the stack of whoever walks the value.
 */

const maxDepth = 32;

/** Numbers that Python writes and JSON has not become objects, as newer exporters write them. Strings stay as they are. */
export function withoutBareNumbers(text: string): string {
  if (!/\b(?:Infinity|NaN)\b/.test(text)) return text;
  return text.replaceAll(/"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b/g, (found) =>
    found.startsWith('"') ? found : `{"__float__":"${found}"}`,
  );
}

/** Parses an object; throws an Error that says what is wrong. */
export function parseJsonObject(text: string): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(text);
  if (!isObject(value)) throw new Error('expected a JSON object');
  checkStructure(text);
  return value;
}

/** Whether a JSON value is an object. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Throws when a valid JSON text repeats a key in an object or nests too deep. */
function checkStructure(text: string): void {
  const scopes: (Set<string> | null)[] = [];
  let expectsKey = false;
  for (let i = 0; i < text.length; i++) {
    if (scopes.length > maxDepth) throw new Error(`nested deeper than ${maxDepth}`);
    switch (text[i]) {
      case '{':
        scopes.push(new Set());
        expectsKey = true;
        break;
      case '[':
        scopes.push(null);
        expectsKey = false;
        break;
      case '}':
      case ']':
        scopes.pop();
        expectsKey = false;
        break;
      case ',':
        expectsKey = scopes.at(-1) !== null;
        break;
      case '"': {
        const start = i;
        for (i++; text[i] !== '"'; i++) if (text[i] === '\\') i++;
        const keys = scopes.at(-1);
        if (!expectsKey || !keys) break;
        const written = text.slice(start, i + 1);
        const key = written.includes('\\') ? (JSON.parse(written) as string) : written.slice(1, -1);
        if (keys.has(key)) throw new Error(`key ${written} is given twice in one object`);
        keys.add(key);
        expectsKey = false;
        break;
      }
      default:
    }
  }
}
