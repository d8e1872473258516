export interface TableOptions {
  /** Columns that are flush right. */
  readonly right?: readonly string[];
  /** Characters that a line may take; Infinity without a limit. */
  readonly width?: number;
  /** Columns that are left out where there is no room, the first one first. */
  readonly dispensable?: readonly string[];
}

/** Rows under headings, each column as wide as it needs to be; columns that are empty in every row are left out. */
export function table(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  { right = [], width = Number.POSITIVE_INFINITY, dispensable = [] }: TableOptions = {},
): string {
  const widths = headings.map((heading, column) =>
    rows.reduce((most, row) => Math.max(most, (row[column] ?? '').length), heading.length),
  );
  let shown = headings.map((_, column) => column).filter((column) => rows.some((row) => (row[column] ?? '') !== ''));
  const total = (): number => shown.reduce((sum, column) => sum + (widths[column] ?? 0) + 2, -2);
  for (const heading of dispensable) {
    if (total() > width) shown = shown.filter((column) => headings[column] !== heading);
  }
  const line = (cells: readonly string[]): string =>
    shown
      .map((column) => {
        const cell = cells[column] ?? '';
        const room = widths[column] ?? 0;
        return right.includes(headings[column] ?? '') ? cell.padStart(room) : cell.padEnd(room);
      })
      .join('  ')
      .trimEnd();
  return [headings, ...rows].map(line).join('\n');
}
