import type { Checkpoint, CheckpointTensor } from './checkpoint.ts';

/** What may stand before the names of a text model that is a part of another model. */
const prefixes = ['language_model.model.', 'model.language_model.model.', 'model.language_model.', 'language_model.'];
const heads = ['language_model.lm_head.', 'model.lm_head.'];

/** The parts of such a model that do not take text. */
const others = /^(?:model\.)?((?:vision|visual|audio|image|multi_modal|mm_)\w*)\./;

/**
 * The tensors of the text model alone, under the names that they have where it is a model by itself, with a warning that says
 * what is left out.
 */
export function textPartOf(checkpoint: Checkpoint): Checkpoint {
  const prefix = prefixes.find((name) => checkpoint.tensors.has(`${name}embed_tokens.weight`));
  const tensors = new Map<string, CheckpointTensor>();
  const leftOut = new Map<string, number>();
  for (const [name, tensor] of checkpoint.tensors) {
    const head = heads.find((start) => name.startsWith(start));
    const other = others.exec(name)?.[1];
    if (prefix !== undefined && name.startsWith(prefix)) tensors.set(`model.${name.slice(prefix.length)}`, tensor);
    else if (head !== undefined) tensors.set(`lm_head.${name.slice(head.length)}`, tensor);
    else if (other !== undefined) leftOut.set(other, (leftOut.get(other) ?? 0) + 1);
    else tensors.set(name, tensor);
  }
  const parts = [...leftOut].map(([part, count]) => `${part} (${count} tensor${count === 1 ? '' : 's'})`);
  const warning = `${parts.join(', ')}: left out, as the model is served for text alone`;
  return { ...checkpoint, tensors, warnings: [...checkpoint.warnings, ...(parts.length === 0 ? [] : [warning])] };
}
