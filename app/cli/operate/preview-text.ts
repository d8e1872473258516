import { formatBytes } from '../../../platform/process/quantities.ts';
import type { ScaledExpert__Output as ScaledExpert } from '../../../proto/generated/conclave/v1/ScaledExpert.ts';
import type { PreviewJson } from './cluster-json.ts';
import { table } from './table.ts';

/** Which experts a count is for, busiest first. */
export function scaledText(experts: readonly ScaledExpert[]): string {
  if (experts.length < 2) return '';
  const rows = experts.map(({ layer, expert, rowsPerSecond }) => [
    String(layer),
    String(expert),
    rowsPerSecond.toFixed(1),
  ]);
  return `${table(['LAYER', 'EXPERT', 'ROWS/S'], rows, { right: ['LAYER', 'EXPERT', 'ROWS/S'] })}\n\n`;
}

/** What a change would load and free, by worker, and what would not fit. */
export function previewText({ workers, loadBytes, freeBytes, shortfalls }: PreviewJson): string {
  const missing = shortfalls.map((shortfall) => `would not fit: ${shortfall}\n`).join('');
  if (workers.length === 0) return `nothing would move\n${missing}`;
  const slots = (count: number, bytes: number): string => (count === 0 ? '' : `${count} (${formatBytes(bytes)})`);
  const rows = workers.map(({ worker, loads, loadBytes: loaded, frees, freeBytes: freed, stageChanges }) => [
    worker,
    slots(loads, loaded),
    slots(frees, freed),
    stageChanges ? 'changes' : '',
  ]);
  const shown = table(['WORKER', 'LOADS SLOTS', 'FREES SLOTS', 'STAGE'], rows, {
    right: ['LOADS SLOTS', 'FREES SLOTS'],
  });
  const loads = workers.reduce((sum, worker) => sum + worker.loads, 0);
  const frees = workers.reduce((sum, worker) => sum + worker.frees, 0);
  const total = `${loads} slots would be loaded (${formatBytes(loadBytes)}) and ${frees} freed (${formatBytes(freeBytes)})`;
  return `${shown}\n\n${total}\n${missing}`;
}
