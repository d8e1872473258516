import type { Controllers, Differences } from '../desired/controllers.ts';
import type { Finding } from '../resources/conditions.ts';
import type { MoEModel } from '../resources/moe-model.ts';
import { annotations } from '../resources/names.ts';
import type { Step } from './step.ts';

const RESTARTING = 'ControllersRestarting';

/** Whether controllers serve a model as it says, and what becomes of it where they do not. */
export function served(
  { refused, overruled, pending }: Differences,
  { deployment }: Pick<Controllers, 'deployment'>,
): Finding {
  const not = (reason: string, differences: readonly string[], then: string) => {
    return { type: 'Served', holds: false, reason, message: `${differences.join('; ')}: ${then}` };
  };
  if (refused.length > 0) return not('Refused', refused, 'controllers would not start with it and serve on as before');
  if (overruled.length > 0)
    return not('ControllersDiffer', overruled, 'the chart says both, "helm upgrade" changes both');
  if (pending.length > 0 && deployment === null) {
    return not('ControllersDiffer', pending, 'controllers read this when they start: restart them');
  }
  if (pending.length > 0) {
    return not(RESTARTING, pending, `deployment/${deployment} is rolled out, as controllers read this when they start`);
  }
  return {
    type: 'Served',
    holds: true,
    reason: 'AsAsked',
    message: 'the controllers serve it as the spec says',
  };
}

/**
 * Has the Deployment replace its pods, which read the model when they start. It is asked for once for each version of the model,
 * and again from time to time while they have not: asking for the same again changes nothing.
 */
export function restartSteps(
  { metadata, status }: MoEModel,
  { refused, overruled, pending }: Differences,
  { deployment, modelChecksum }: Pick<Controllers, 'deployment' | 'modelChecksum'>,
  again: boolean,
): readonly Step[] {
  if (deployment === null || pending.length === 0 || refused.length + overruled.length > 0) return [];
  // Helm changed both, and pods of another template are coming.
  if (modelChecksum !== null && (metadata.annotations[annotations.checksum] ?? modelChecksum) !== modelChecksum)
    return [];
  const said = status.conditions.find(({ type }) => type === 'Served');
  const asked = said?.reason === RESTARTING && said.observedGeneration === metadata.generation;
  return asked && !again ? [] : [{ kind: 'restart', deployment, generation: metadata.generation }];
}
