import { BusError } from './bus.ts';

/** Throws INVALID_ARGUMENT unless the key is tokens of letters, digits, "-", "_", "/" and "=", joined by single dots. */
export function checkKey(key: string): void {
  if (/^[-/=\w]+(\.[-/=\w]+)*$/.test(key)) return;
  throw new BusError(
    'INVALID_ARGUMENT',
    `key ${JSON.stringify(key)}: expected letters, digits, "-", "_", "/" and "=", with single dots between`,
  );
}

/** Throws INVALID_ARGUMENT unless the subject is non-empty tokens joined by dots; "*" and ">" are for patterns only. */
export function checkSubject(subject: string): void {
  if (/^[^\s.*>]+(\.[^\s.*>]+)*$/.test(subject)) return;
  throw new BusError('INVALID_ARGUMENT', `subject ${JSON.stringify(subject)}: expected tokens joined by single dots`);
}

/** Throws INVALID_ARGUMENT unless the pattern is a subject, or one with ">" in the place of its last token. */
export function checkPattern(pattern: string): void {
  checkSubject(pattern.endsWith('.>') ? pattern.slice(0, -2) : pattern);
}

/** Whether a pattern takes a subject: the same, or any with more tokens where the pattern ends in ">". */
export function matches(pattern: string, subject: string): boolean {
  return pattern.endsWith('.>') ? subject.startsWith(pattern.slice(0, -1)) : pattern === subject;
}
