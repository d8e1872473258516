/** Strings as Python counts them: in code points, where JavaScript counts UTF-16 units. */

/** Whether both count alike: no character takes two units. */
export function isBasic(text: string): boolean {
  return !/[\ud800-\udbff]/.test(text);
}

export function codePoints(text: string): readonly string[] {
  return Array.from(text);
}

/** Code points from `start` to `stop`. */
export function sliceText(text: string, start: number, stop: number): string {
  return isBasic(text) ? text.slice(start, stop) : codePoints(text).slice(start, stop).join('');
}

export function textLength(text: string): number {
  return isBasic(text) ? text.length : codePoints(text).length;
}

/** A position in UTF-16 units as one in code points. */
export function codePointIndex(text: string, unit: number): number {
  return unit < 0 ? unit : textLength(text.slice(0, unit));
}
