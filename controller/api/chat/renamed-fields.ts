import { ServiceError, toServiceError } from '../../errors.ts';

/** Runs what reads a chat request; errors name fields as the dialect calls them in which the request came. */
export async function renamedFields<T>(names: Readonly<Record<string, string>>, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const failure = toServiceError(error);
    const [root = ''] = failure.field?.split(/[.[]/, 1) ?? [];
    const name = Object.hasOwn(names, root) ? names[root] : undefined;
    if (name === undefined || failure.field === null) throw error;
    const message = failure.message.startsWith(root) ? name + failure.message.slice(root.length) : failure.message;
    throw new ServiceError(failure.code, message, { field: name + failure.field.slice(root.length), cause: failure });
  }
}
