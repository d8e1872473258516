import { formatBytes, formatCount } from '../../platform/process/quantities.ts';
import type { Hints } from '../command/hints.ts';
import type { Embedded } from '../compose/single-process.ts';

/** The line of `serve --output json`, once requests are answered. */
export function readyLine(embedded: Embedded, version: string): string {
  const { httpUrl, grpcAddress, model } = embedded;
  return `${JSON.stringify({ event: 'ready', pid: process.pid, version, http: httpUrl, grpc: grpcAddress, model })}\n`;
}

/** What `serve` shows once requests are answered: addresses, and one command to try. `keyed`: requests need a key. */
export function readyText(embedded: Embedded, version: string, keyed: boolean, hints: Hints): string {
  const { model } = embedded;
  const [httpUrl, grpcAddress] = [at(hints, embedded.httpUrl), at(hints, embedded.grpcAddress)];
  const question = { model: model.name, messages: [{ role: 'user', content: 'What is 974 + 662?' }], temperature: 0 };
  const answer = model.demo ? [`  # the answer's content: 974 + 662 = 1636`] : [];
  return [
    '',
    `conclave ${version} serves ${model.name}`,
    `  ${formatCount(model.parameters)} parameters, ${formatCount(model.activeParameters)} of them per token; ${model.weights} weights, ${formatBytes(model.weightBytes)}`,
    `  ${model.gpu === null ? `${model.threads} threads, ${model.isa}` : `${model.device}, ${model.gpu}`}; KV cache ${formatBytes(model.cacheBytes)} for ${model.cacheTokens} tokens; sequences of up to ${model.maxModelLen} tokens`,
    '',
    `  OpenAI API  ${httpUrl}/v1`,
    `  gRPC        ${grpcAddress}  conclave.v1.InferenceService`,
    `  dashboard   ${httpUrl}/`,
    `  metrics     ${httpUrl}/metrics`,
    `  health      ${httpUrl}/health  ${httpUrl}/ready`,
    '',
    'Try it:',
    `  curl${hints.curl} ${httpUrl}/v1/chat/completions -H 'Content-Type: application/json' \\`,
    ...(keyed ? [`    -H 'Authorization: Bearer KEY' \\`] : []),
    `    -d '${JSON.stringify(question)}'`,
    ...answer,
    '',
    '',
  ].join('\n');
}

/** A URL or an address with the host that hints show. */
export function at({ authority }: Hints, address: string): string {
  return address.replace(
    /^(https?:\/\/)?.*(:\d+)$/,
    (_, scheme: string | undefined, port: string) => `${scheme ?? ''}${authority}${port}`,
  );
}
