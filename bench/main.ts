import { readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';

// Runs benches by name: each other file of this folder but report.ts is one, and answers one question.
const folder = fileURLToPath(new URL('.', import.meta.url));
const names = readdirSync(folder)
  .filter((file) => /\.[jt]s$/.test(file))
  .map((file) => basename(file).replace(/\.[jt]s$/, ''))
  .filter((name) => name !== 'main' && name !== 'report');
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !names.includes(name));
if (wanted.length === 0 || unknown.length > 0) {
  if (unknown.length > 0) console.error(`no bench is called ${unknown.join(', ')}`);
  console.error(`usage: npm run bench -- NAME...\nbenches: ${names.join(', ')}`);
  process.exitCode = 2;
} else {
  for (const name of wanted) await import(new URL(`./${name}.js`, import.meta.url).href);
}
