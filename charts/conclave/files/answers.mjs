// What "helm test" runs: the first model that is listed answers a question.
const key = process.env.API_KEYS?.split('\n').find((line) => line !== '' && !line.startsWith('#'));
const headers = { 'Content-Type': 'application/json', ...(key && { Authorization: `Bearer ${key}` }) };

async function request(path, body) {
  const init = body === undefined ? { headers } : { method: 'POST', headers, body: JSON.stringify(body) };
  const response = await fetch(`${process.env.SERVER}${path}`, { ...init, signal: AbortSignal.timeout(60_000) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
  return JSON.parse(text);
}

const models = await request('/v1/models');
const model = models.data[0].id;
// A model without a chat template completes all the same.
const prompt = 'What is 974 + 662?';
const answer = await request('/v1/completions', { model, prompt, max_tokens: 8, temperature: 0 });
if (answer.usage.completion_tokens === 0) throw new Error(`${model} answered nothing: ${JSON.stringify(answer)}`);
process.stdout.write(`${model} answers: ${JSON.stringify(answer.choices[0].text)}\n`);
