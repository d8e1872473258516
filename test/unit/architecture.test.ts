import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');

/** What a part of the program may import, besides itself. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  app: ['controller', 'worker', 'platform', 'proto', 'native'],
  controller: ['platform', 'proto'],
  worker: ['platform', 'proto', 'native'],
  platform: ['proto'],
  native: ['proto'],
  proto: [],
};
/** Most files in a folder, those of its subfolders not counted. */
const mostFiles = 16;
/** The median source file is shorter than this, in lines. */
const medianLines = 120;

const parts = Object.keys(mayImport);
const files = parts.flatMap((part) => sources(part, /\.ts$/));
const nativeFiles = sources('native', /\.(cc|h)$/).filter((file) => !file.startsWith('native/test/'));

/** Paths below a folder, relative to the root; without what is generated or built. */
function sources(folder: string, name: RegExp): readonly string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return /^(generated|build.*)$/.test(entry.name) ? [] : sources(path, name);
    return name.test(entry.name) ? [path] : [];
  });
}

/** Each import of one folder's file by another's, types included. */
const imports = files.flatMap((file) => {
  const text = readFileSync(join(root, file), 'utf8');
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.{1,2}\/[^']+)'/g)].flatMap(([, specifier = '']) => {
    const target = relative(root, resolve(root, dirname(file), specifier));
    const [from, to] = [dirname(file), folderOf(target)];
    return from === to ? [] : [{ file, target, from, to }];
  });
});

/** The wire is one folder: its messages, helpers and generated types. */
function folderOf(path: string): string {
  return path.startsWith('proto/') ? 'proto' : dirname(path);
}

describe('the folders', () => {
  it('import nothing but what they may', () => {
    const part = (folder: string) => folder.split('/')[0] ?? '';
    const wrong = imports.filter(
      ({ from, to }) => part(from) !== part(to) && mayImport[part(from)]?.includes(part(to)) !== true,
    );
    expect(wrong.map(({ file, target }) => `${file} imports ${target}`)).toEqual([]);
  });

  it('import each other in one direction', () => {
    const below = new Map<string, Set<string>>();
    for (const { from, to } of imports) below.set(from, (below.get(from) ?? new Set()).add(to));
    const known = new Set<string>();
    /** The folders of a cycle that can be reached from `folder`, or null. */
    const cycle = (folder: string, path: readonly string[]): readonly string[] | null => {
      if (path.includes(folder)) return [...path.slice(path.indexOf(folder)), folder];
      if (known.has(folder)) return null;
      for (const next of below.get(folder) ?? []) {
        const found = cycle(next, [...path, folder]);
        if (found !== null) return found;
      }
      known.add(folder);
      return null;
    };
    expect([...below.keys()].map((folder) => cycle(folder, [])).find((found) => found !== null) ?? []).toEqual([]);
  });

  it(`hold at most ${mostFiles} files`, () => {
    const counts = new Map<string, number>();
    for (const file of [...files, ...nativeFiles]) counts.set(dirname(file), (counts.get(dirname(file)) ?? 0) + 1);
    expect([...counts].filter(([, count]) => count > mostFiles)).toEqual([]);
  });
});

describe('the files', () => {
  it(`are short: the median has fewer than ${medianLines} lines`, () => {
    const lengths = [...files, ...nativeFiles].map((file) => readFileSync(join(root, file), 'utf8').split('\n').length);
    lengths.sort((a, b) => a - b);
    expect(lengths[Math.floor(lengths.length / 2)]).toBeLessThan(medianLines);
  });

  it('name a parameter of an operator in few places', () => {
    const naming = [...files, ...nativeFiles, ...sources('proto', /\.proto$/)].filter((file) =>
      /sliding_?window\b/i.test(readFileSync(join(root, file), 'utf8')),
    );
    // Families, and files in other formats, read it from configurations; that is one file each.
    const inside = naming.filter((file) => !/\/(families|gguf|mistral)\//.test(file));
    expect(inside.length, inside.join('\n')).toBeLessThanOrEqual(9);
  });
});
