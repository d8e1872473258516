import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { packageRoot } from '../../../proto/package-root.ts';

export interface Asset {
  readonly type: string;
  readonly body: Buffer;
  /** Of the HTTP header ETag. */
  readonly tag: string;
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Where `npm run build` puts the page. */
const folder = join(packageRoot, 'dist', 'controller', 'api', 'dashboard', 'page');

/** The page's files by their paths in its folder; none where the page is not built. */
export function loadAssets(): ReadonlyMap<string, Asset> {
  if (!existsSync(folder)) return new Map();
  return new Map(
    readdirSync(folder, { recursive: true, encoding: 'utf8' }).flatMap((name) => {
      const type = types[extname(name)];
      if (type === undefined) return [];
      const body = readFileSync(join(folder, name));
      return [[name, { type, body, tag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"` }]];
    }),
  );
}
