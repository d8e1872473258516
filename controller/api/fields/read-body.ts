/** A request body as its schema describes it, or an error that names the field, what came and what was expected. */
import type { z } from 'zod';
import { invalidField, ServiceError, shown, unsupportedField } from '../../errors.ts';
import { JsonBody } from './json-body.ts';

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];
interface Found {
  readonly issue: Issue;
  readonly path: Path;
}

/** `body`: a JsonBody, or a value as JSON has it. */
export function readBody<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const value = body instanceof JsonBody ? body.value : body;
  const read = schema.safeParse(value);
  if (read.success) return read.data;
  throw toFieldError(read.error.issues[0] as Issue, value);
}

function toFieldError(first: Issue, body: unknown): ServiceError {
  const { issue, path } = deepest(first, first.path);
  const field = pathText(path);
  const value = path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | null | undefined)?.[key], body);
  if (issue.code === 'custom' && issue.params?.['unsupported'] === true) return unsupportedField(field, issue.message);
  if (path.length > 0) return invalidField(field, value, issue.message);
  return new ServiceError('INVALID_REQUEST', `the body: expected ${issue.message}, got ${shown(body)}`);
}

/** Of the forms that a value may have, the one that came furthest says what is wrong, if one came further than its type. */
function deepest(issue: Issue, path: Path): Found {
  if (issue.code !== 'invalid_union') return { issue, path };
  return issue.errors
    .flatMap(([first]) => (first === undefined ? [] : [deepest(first, [...path, ...first.path])]))
    .reduce<Found>((best, next) => (progress(next) > progress(best) ? next : best), { issue, path });
}

function progress({ issue, path }: Found): number {
  return 2 * path.length + (issue.code === 'invalid_union' || issue.code === 'invalid_type' ? 0 : 1);
}

/** A path such as "messages[1].content". */
function pathText(path: Path): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    return text === '' ? String(key) : `${text}.${String(key)}`;
  }, '');
}
