import type { Finding } from '../resources/conditions.ts';
import { goesOn, type Progress } from './progress.ts';

/** Whether the spec makes sense. */
export function accepted(problems: readonly string[]): Finding {
  return problems.length === 0
    ? { type: 'Accepted', holds: true, reason: 'Valid', message: 'the spec makes sense' }
    : { type: 'Accepted', holds: false, reason: 'InvalidSpec', message: problems.join('; ') };
}

/** Something goes on, and is not blocked. */
export function progressing(progress: Progress): Finding {
  const { reason, message, blocked } = progress;
  return { type: 'Progressing', holds: goesOn(progress) && !blocked, reason, message };
}
