// Tokenises long texts on a thread of their own, so that they do not hold up the event loop and can be ended when they
// take too long. Plain JavaScript: threads start from the source tree, without a build.
import { readFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { Tokenizer } from '@huggingface/tokenizers';

const { tokenizerPath, tokenizer: given, tokenizerConfig } = workerData;
const tokenizer = new Tokenizer(given ?? JSON.parse(readFileSync(tokenizerPath, 'utf8')), tokenizerConfig);

parentPort.on('message', ({ text, addSpecialTokens }) => {
  try {
    parentPort.postMessage({ result: tokenizer.encode(text, { add_special_tokens: addSpecialTokens }).ids });
  } catch (error) {
    parentPort.postMessage({ error: error instanceof Error ? error.message : String(error) });
  }
});
parentPort.postMessage('ready');
