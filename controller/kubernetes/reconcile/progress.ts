/** What goes on with a set. */
export interface Progress {
  /** One word, the reason of condition Progressing. */
  readonly reason: string;
  readonly message: string;
  /** It waits for something that does not come by itself. */
  readonly blocked: boolean;
}

export const idle: Progress = { reason: 'Complete', message: 'everything is as asked', blocked: false };

export function goesOn({ reason }: Progress): boolean {
  return reason !== idle.reason;
}
