/**
 * Text broken at spaces into lines of at most `width` characters; all but the first begin with `indent` spaces. A word that
 * is longer stands as it is.
 */
export function wrap(text: string, width: number, indent: number): string {
  const lines: string[] = [];
  let rest = text;
  while (rest.length > width) {
    const last = rest.lastIndexOf(' ', width);
    const end = last > indent ? last : rest.indexOf(' ', Math.max(width, indent + 1));
    if (end < 0) break;
    lines.push(rest.slice(0, end).trimEnd());
    rest = ' '.repeat(indent) + rest.slice(end).trimStart();
  }
  return [...lines, rest].join('\n');
}
