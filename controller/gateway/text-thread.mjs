// Runs chat templates and tokenisation of long inputs on a thread of their own, so that they do not hold up the event
// loop and can be ended when they take too long. Plain JavaScript: threads start from the source tree, without a build.
import { readFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { Template } from '@huggingface/jinja';
import { Tokenizer } from '@huggingface/tokenizers';

const tokenizer = new Tokenizer(JSON.parse(readFileSync(workerData.tokenizerPath, 'utf8')), workerData.tokenizerConfig);
const templates = new Map();

parentPort.on('message', (task) => {
  try {
    parentPort.postMessage({ result: task.kind === 'render' ? render(task) : encode(task) });
  } catch (error) {
    parentPort.postMessage({ error: error instanceof Error ? error.message : String(error) });
  }
});

function render({ template, variables }) {
  if (!templates.has(template)) templates.set(template, new Template(template));
  return templates.get(template).render(variables);
}

function encode({ text, addSpecialTokens }) {
  return tokenizer.encode(text, { add_special_tokens: addSpecialTokens }).ids;
}
