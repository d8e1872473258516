import { heatBounds, heatOf } from '../../../../controller/api/dashboard/page/cards/heat.ts';
import { amount } from '../../operate/amount.ts';
import type { StatusJson } from '../../operate/cluster-json.ts';
import { cut } from './line.ts';
import { heatCell, type Style, toned } from './style.ts';
import { windowOf } from './window.ts';

type Layer = StatusJson['load'][number];

/** Where the rows of the map begin, and what stands behind them. */
const LABEL = 6;
const BALANCE = 6;
/** Characters of an expert where there is room. */
const WIDEST_CELL = 3;

/** A heat map of all experts in at most `room` lines: neighbours share a cell, or a row, where there is no room for each. */
export function heatMapLines({ load }: StatusJson, columns: number, room: number, style: Style): readonly string[] {
  if (room < 2 || load.length === 0) return [];
  const perRow = Math.ceil(load.length / (room - 1));
  const rows = Array.from({ length: Math.ceil(load.length / perRow) }, (_, i) =>
    load.slice(i * perRow, (i + 1) * perRow),
  );
  return [legend(style, columns), ...rows.map((layers) => mapRow(layers, null, columns, style))];
}

/** A row for each layer around the selected one, and what is known of the selected expert. */
export function expertLines(
  { load }: StatusJson,
  { row, column }: { readonly row: number; readonly column: number },
  columns: number,
  room: number,
  style: Style,
): readonly string[] {
  if (load.length === 0) return [toned('no load was measured yet', 'dim', style)].slice(0, room);
  const { first, end } = windowOf(load.length, row, room - 3);
  const shown = load
    .slice(first, end)
    .map((layer, i) => mapRow([layer], first + i === row ? column : null, columns, style));
  const layer = load[row];
  return [
    legend(style, columns),
    ...shown,
    '',
    ...(layer === undefined ? [] : [cut(detail(layer, column), columns)]),
  ].slice(0, room);
}

function mapRow(layers: readonly Layer[], selected: number | null, columns: number, style: Style): string {
  const room = Math.max(1, columns - LABEL - BALANCE - 1);
  const experts = Math.max(...layers.map(({ expertRows }) => expertRows.length));
  const perCell = Math.max(1, Math.ceil(experts / room));
  const width = Math.max(1, Math.min(WIDEST_CELL, Math.floor(room / experts)));
  const cells = Array.from({ length: Math.ceil(experts / perCell) }, (_, cell) => {
    const heat = Math.max(...layers.map((layer) => heatOfCell(layer, cell * perCell, perCell)));
    const here = selected !== null && Math.floor(selected / perCell) === cell;
    return heatCell(heat, here, width, style);
  });
  const [from, to] = [layers[0]?.layer ?? 0, layers.at(-1)?.layer ?? 0];
  const label = (from === to ? String(from) : `${from}-${to}`).padStart(LABEL - 1);
  const imbalance = Math.max(...layers.map((layer) => layer.imbalance)).toFixed(2);
  return `${toned(label, selected === null ? 'dim' : 'strong', style)} ${cells.join('')} ${imbalance.padStart(BALANCE - 1)}`;
}

/** The hottest of some experts. */
function heatOfCell({ expertRows }: Layer, first: number, count: number): number {
  const mean = expertRows.reduce((sum, rate) => sum + rate, 0) / expertRows.length;
  return Math.max(0, ...expertRows.slice(first, first + count).map((rate) => heatOf(rate, mean)));
}

function legend(style: Style, columns: number): string {
  const levels = heatBounds.map((bound, i) => `${heatCell(i + 1, false, 1, style)} <${bound}`);
  const scale = [...levels, `${heatCell(heatBounds.length + 1, false, 1, style)} more`].join('  ');
  return cut(`${toned('LAYER rows/s beside the mean', 'dim', style)}  ${scale}`, columns);
}

function detail({ layer, expertRows, imbalance }: Layer, expert: number): string {
  const total = expertRows.reduce((sum, rate) => sum + rate, 0);
  const rate = expertRows[expert] ?? 0;
  const times = total === 0 ? '0' : amount((rate * expertRows.length) / total);
  return (
    `layer ${layer}, expert ${expert}: ${amount(rate)} rows/s, ${times} × the mean` +
    `   layer: ${amount(total)} rows/s, busiest worker ${imbalance.toFixed(2)} × the mean`
  );
}
