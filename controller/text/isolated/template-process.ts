/**
 * The process that parses and renders chat templates, with limits of time, memory and length. A thread would not do: one that
 * grows an array past its heap limit in one step takes the whole program with it.
 */
import { formatBytes, formatDuration } from '../../../platform/process/quantities.ts';
import { ServiceError } from '../../errors.ts';
import { type HostEvents, IsolatedTasks, TaskError, type TaskHost } from './isolated-tasks.ts';
import { OutOfMemory, processHost } from './process-host.ts';

export interface NamedTemplate {
  /** Where it stands, such as "chat_template.jinja". */
  readonly name: string;
  readonly source: string;
}

export interface TemplateLimits {
  /** Of one conversation, or of reading a template. */
  readonly timeMs: number;
  readonly memoryBytes: number;
  /** UTF-16 units of what is rendered. */
  readonly characters: number;
  /** Conversations that wait. */
  readonly maxWaiting: number;
}

const defaultLimits: TemplateLimits = {
  timeMs: 5_000,
  memoryBytes: 512 * 2 ** 20,
  characters: 64 * 2 ** 20,
  maxWaiting: 4096,
};

/** A template does not parse, or refuses what it is given. */
export class TemplateError extends Error {}

export interface TemplateProcess {
  /** Parses a template. Fails with a TemplateError, or with a ServiceError that names a limit. */
  check(template: NamedTemplate): Promise<void>;
  /** `variables`: a JSON object. Fails as `check` does. */
  render(template: NamedTemplate, variables: string, signal: AbortSignal | null): Promise<string>;
  close(): Promise<void>;
}

interface TemplateTask {
  readonly template: NamedTemplate;
  /** Null: only parse. */
  readonly variables: string | null;
}

type TemplateAnswer = { readonly result: string } | { readonly error: string } | { readonly tooLong: true };

/** `templates`: all that will be rendered. */
export function templateProcess(
  templates: readonly NamedTemplate[],
  limits: TemplateLimits = defaultLimits,
): TemplateProcess {
  const refuse = ({ name }: NamedTemplate, did: string): ServiceError =>
    new ServiceError('INVALID_REQUEST', `the chat template of the model (${name}) ${did}`, { field: 'messages' });
  const tasks = new IsolatedTasks<TemplateTask, TemplateAnswer>({
    start: (events) => start(templates, limits, events),
    timeLimitMs: limits.timeMs,
    maxWaiting: limits.maxWaiting,
    ahead: 8,
    tooLong: ({ template }) =>
      refuse(template, `did not end within its time limit of ${formatDuration(limits.timeMs)}`),
    lost: ({ template }, cause) =>
      cause instanceof OutOfMemory
        ? refuse(template, `needs more than its memory limit of ${formatBytes(limits.memoryBytes)}`)
        : new ServiceError('INTERNAL', 'the process for chat templates ended unexpectedly', { cause }),
    full: 'too many conversations are waiting for the chat template',
  });
  const run = async (
    template: NamedTemplate,
    variables: TemplateTask['variables'],
    signal: AbortSignal | null,
  ): Promise<string> => {
    const answer = await tasks.run({ template, variables }, signal).catch((error: unknown) => {
      throw error instanceof TaskError ? new TemplateError(error.message) : error;
    });
    if ('result' in answer) return answer.result;
    if ('error' in answer) throw new TemplateError(answer.error);
    throw refuse(template, `made a prompt of more than ${limits.characters} characters`);
  };
  return {
    check: async (template) => void (await run(template, null, null)),
    render: run,
    close: () => tasks.close(),
  };
}

function start(
  templates: readonly NamedTemplate[],
  { memoryBytes, characters }: TemplateLimits,
  events: HostEvents<TemplateAnswer>,
): TaskHost<TemplateTask> {
  const host = processHost<object, TemplateAnswer>(
    { file: 'isolated/template-process.mjs', args: [String(characters)], memoryBytes },
    events,
  );
  host.post({ sources: templates.map(({ source }) => source) });
  return {
    post: ({ template, variables }: TemplateTask) => host.post({ index: templates.indexOf(template), variables }),
    end: () => host.end(),
  };
}
