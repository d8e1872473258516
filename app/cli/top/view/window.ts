/** Which of `count` rows are shown where there is room for some: the selected one is among them. */
export function windowOf(
  count: number,
  selected: number,
  room: number,
): { readonly first: number; readonly end: number } {
  const height = Math.max(0, Math.min(count, room));
  const first = Math.max(0, Math.min(selected - Math.floor(height / 2), count - height));
  return { first, end: first + height };
}
