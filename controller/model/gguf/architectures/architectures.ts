/** Every architecture of GGUF that is read, by the name that files give it. */
import type { Architecture } from './architecture.ts';
import { correctedArchitectures } from './corrected.ts';
import { denseArchitectures } from './dense.ts';
import { expertArchitectures } from './experts.ts';
import { hybridArchitectures } from './hybrid.ts';

export const architectures: Readonly<Record<string, Architecture>> = {
  ...denseArchitectures,
  ...expertArchitectures,
  ...correctedArchitectures,
  ...hybridArchitectures,
};
