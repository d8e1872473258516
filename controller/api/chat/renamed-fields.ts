import { ServiceError, toServiceError } from '../../errors.ts';

/**
 * Runs what reads a chat request; errors name fields as the dialect calls them in which the request came. `names`: its names of
 * paths, where `[]` stands for any index; the first that a field begins with counts.
 */
export async function renamedFields<T>(names: Readonly<Record<string, string>>, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const failure = toServiceError(error);
    const field = Object.entries(names)
      .map(([path, name]) => renamed(failure.field ?? '', path, name))
      .find((found) => found !== null);
    if (field === undefined || failure.field === null) throw error;
    const { message } = failure;
    const text = message.startsWith(failure.field) ? field + message.slice(failure.field.length) : message;
    throw new ServiceError(failure.code, text, { field, cause: failure });
  }
}

/** Null where the field does not begin with the path. */
function renamed(field: string, path: string, name: string): string | null {
  const begin = new RegExp(`^${path.replaceAll(/[.[\]]/g, '\\$&').replaceAll('\\[\\]', '\\[(\\d+)\\]')}(?=$|[.[])`);
  const [found, index] = begin.exec(field) ?? [];
  return found === undefined ? null : name.replace('[]', `[${index}]`) + field.slice(found.length);
}
