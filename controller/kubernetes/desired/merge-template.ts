type Tree = Readonly<Record<string, unknown>>;

/** What entries of these lists are known by; entries of others are by name where all have one. */
const keys: Readonly<Record<string, string>> = { volumeMounts: 'mountPath', ports: 'containerPort' };
/** Entries of these are replaced whole: of the kinds of a volume or of a variable's source, one may be given. */
const whole: ReadonlySet<string> = new Set(['volumes', 'env', 'volumeMounts']);

/** A pod template with another over it: lists whose entries have names are merged by name, everything else is replaced. */
export function mergeTemplate(base: Tree, over: Tree): Tree {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const before = base[key];
    if (value === undefined) continue;
    if (isTree(before) && isTree(value)) merged[key] = mergeTemplate(before, value);
    else if (Array.isArray(before) && Array.isArray(value)) merged[key] = mergeList(key, before, value);
    else merged[key] = value;
  }
  return merged;
}

function mergeList(list: string, base: readonly unknown[], over: readonly unknown[]): readonly unknown[] {
  const key = keys[list] ?? 'name';
  const idOf = (entry: unknown) => (isTree(entry) ? entry[key] : undefined);
  if ([...base, ...over].some((entry) => idOf(entry) === undefined)) return over;
  const given = new Map(over.map((entry) => [idOf(entry), entry]));
  const known = new Set(base.map(idOf));
  const kept = base.map((entry) => {
    const replacement = given.get(idOf(entry));
    if (replacement === undefined) return entry;
    return whole.has(list) ? replacement : mergeTemplate(entry as Tree, replacement as Tree);
  });
  return [...kept, ...over.filter((entry) => !known.has(idOf(entry)))];
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
