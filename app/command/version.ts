import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../proto/package-root.ts';

const manifest = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { readonly version: string };

/** Version of the software. */
export const { version } = manifest;
