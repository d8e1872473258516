/** What Python takes for whitespace: not quite what JavaScript does. */
const spaces: ReadonlySet<string> = new Set(
  '\t\n\v\f\r\u001c\u001d\u001e\u001f \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000',
);

/** Whether a character is whitespace. */
export function isPythonSpace(character: string): boolean {
  return spaces.has(character);
}

export function trimEndSpace(text: string): string {
  let end = text.length;
  while (end > 0 && spaces.has(text[end - 1] ?? '')) end -= 1;
  return text.slice(0, end);
}

export function trimStartSpace(text: string): string {
  let start = 0;
  while (start < text.length && spaces.has(text[start] ?? '')) start += 1;
  return text.slice(start);
}
