/** Lines of a terminal: widths are counted and cut without the codes that colour them. */

const CODE = /\u001b\[[\d;]*m/g;

/** A line without the codes that colour it. */
export function uncoloured(line: string): string {
  return line.replaceAll(CODE, '');
}

/** Characters that a line takes on the screen. */
export function widthOf(line: string): number {
  return Array.from(uncoloured(line)).length;
}

/** The first `width` characters of a line; colours end with it. */
export function cut(line: string, width: number): string {
  if (widthOf(line) <= width) return line;
  let room = width;
  let coloured = false;
  let result = '';
  for (const part of line.split(/(\u001b\[[\d;]*m)/)) {
    if (part.startsWith('\u001b[')) {
      coloured = part !== '\u001b[0m';
      result += part;
      continue;
    }
    const characters = Array.from(part).slice(0, room);
    result += characters.join('');
    room -= characters.length;
    if (room === 0) break;
  }
  return coloured ? `${result}\u001b[0m` : result;
}

/** Two texts at the two ends of a line; where there is no room for both, the left one stays. */
export function spread(left: string, right: string, width: number): string {
  const gap = width - widthOf(left) - widthOf(right);
  return gap < 1 ? cut(left, width) : left + ' '.repeat(gap) + right;
}

/** Text from outside as it can stand in a line: without characters that steer terminals. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ');
}
