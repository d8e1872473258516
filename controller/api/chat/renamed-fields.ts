import { ServiceError, toServiceError } from '../../errors.ts';

/**
 * Runs what reads a chat request; errors name fields as the dialect calls them in which the request came. `names`: its names of
 * paths; the first that a field begins with counts.
 */
export async function renamedFields<T>(names: Readonly<Record<string, string>>, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const failure = toServiceError(error);
    const { field } = failure;
    const found = Object.entries(names).find(([path]) => field === path || /^[.[]/.test(after(field ?? '', path)));
    if (found === undefined || field === null) throw error;
    const [path, name] = found;
    const message = failure.message.startsWith(path) ? name + after(failure.message, path) : failure.message;
    throw new ServiceError(failure.code, message, { field: name + after(field, path), cause: failure });
  }
}

/** What follows a beginning; empty for a text that does not begin so. */
function after(text: string, beginning: string): string {
  return text.startsWith(beginning) ? text.slice(beginning.length) : '';
}
