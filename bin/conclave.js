#!/usr/bin/env node
import { existsSync } from 'node:fs';

const main = new URL('../dist/app/cli/main.js', import.meta.url);
if (!existsSync(main)) {
  process.stderr.write('conclave is not built yet: run "npm run build" in the folder that holds package.json\n');
  process.exit(1);
}
await import(main.href);
