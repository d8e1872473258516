// Parses and renders chat templates in a process of their own: they come with the checkpoint, may loop for ever, and one
// that uses up the memory of a thread would end the whole program. Plain JavaScript that starts from the source tree; the
// interpreter is the built one, as Node runs no TypeScript here.
import { Worker } from 'node:worker_threads';
import { Template } from '../../../dist/controller/text/jinja/template.js';
import { parseJson } from '../../../dist/controller/text/jinja/values/from-json.js';

const maxCharacters = Number(process.argv[2]);
const longestError = 2_000;

// A template that loops keeps this thread from noticing that the server has died: another one looks.
const watch = `
  const server = process.ppid;
  setInterval(() => process.ppid === server || process.kill(process.pid, 'SIGKILL'), 500);
`;
new Worker(watch, { eval: true });

let sources = [];
const templates = [];
const queue = [];
let busy = false;

function answer({ index, variables }) {
  try {
    templates[index] ??= new Template(sources[index]);
    const result = variables === null ? '' : templates[index].render(parseJson(variables));
    return result.length > maxCharacters ? { tooLong: true } : { result };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { error: message.length > longestError ? `${message.slice(0, longestError)}…` : message };
  }
}

/** An answer has left before the next task begins, whose end may be the end of this process. */
function next() {
  const task = queue.shift();
  busy = task !== undefined;
  if (busy) process.send(answer(task), next);
}

process.on('message', (message) => {
  if ('sources' in message) ({ sources } = message);
  else queue.push(message);
  if (!busy) next();
});
process.send('ready');
process.on('disconnect', () => process.exit());
// Signals to the whole group end the server, which may still have requests to finish.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});
