import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string };
  }[];
  readonly samples: readonly number[];
  /** Microseconds before each sample. */
  readonly timeDeltas: readonly number[];
}

/** Parts of the server, by where a function's file lies; the first that fits counts. */
const parts: readonly (readonly [string, RegExp])[] = [
  ['scheduler and native calls', /\/dist\/(worker|native)\//],
  ['gateway: text, stop texts, token log', /\/dist\/controller\/gateway\//],
  ['API: fields, events, JSON', /\/dist\/controller\/(api|errors)/],
  ['HTTP and sockets', /^node:|\/fastify\/|\/find-my-way\//],
];

/** Share of the main thread's busy time that each part takes, from the profile that Node wrote into a folder. */
export function shareByPart(folder: string): ReadonlyMap<string, number> {
  const [file] = readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'));
  if (file === undefined) throw new Error(`no profile in ${folder}`);
  const profile = JSON.parse(readFileSync(join(folder, file), 'utf8')) as CpuProfile;
  const partOf = new Map(profile.nodes.map(({ id, callFrame }) => [id, partOfFrame(callFrame)]));
  const micros = new Map<string, number>();
  let busy = 0;
  for (const [index, id] of profile.samples.entries()) {
    const part = partOf.get(id) ?? null;
    if (part === null) continue;
    const delta = profile.timeDeltas[index] ?? 0;
    busy += delta;
    micros.set(part, (micros.get(part) ?? 0) + delta);
  }
  return new Map([...micros].toSorted(([, a], [, b]) => b - a).map(([part, time]) => [part, time / busy]));
}

function partOfFrame({ functionName, url }: CpuProfile['nodes'][number]['callFrame']): string | null {
  if (functionName === '(idle)') return null;
  if (functionName === '(garbage collector)') return 'garbage collection';
  if (url === '') return 'the runtime: system calls, promises, JSON';
  return parts.find(([, pattern]) => pattern.test(url))?.[0] ?? 'the rest';
}
