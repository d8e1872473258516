/** ORGANISATION/NAME, by the Hub's own rules. */
const part = /^[A-Za-z0-9_](?:[\w.-]{0,94}[\w])?$/;

/** Whether a text can be the name of a model of the Hub. */
export function isModelName(text: string): boolean {
  const parts = text.split('/');
  return parts.length === 2 && parts.every((name) => part.test(name)) && !/--|\.\./.test(text);
}

/** Whether a text can be a branch, a tag, a commit or a pull request such as "refs/pr/1", and a path inside a folder. */
export function isRevision(text: string): boolean {
  const parts = text.split('/');
  return text.length <= 250 && parts.every((name) => /^[\w.+-]+$/.test(name) && !/^\.|\.\.|\.lock$/.test(name));
}

/** Whether a revision is a whole commit id. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}
