/** The heat map: a row for each layer, a cell for each expert, or for some of them where there is no room. */

import { byId, find, make } from '../elements/element.ts';
import { heatNames, heatOf } from './heat.ts';
import type { LayerLoad } from './load.ts';

/** An expert, by its places in what is shown. */
export interface Cell {
  readonly row: number;
  readonly expert: number;
}

/** Pixels: labels of layers in front, least width of a cell, and heights of a row. */
const LABEL = 28;
const LEAST_CELL = 3;
const MOST_CELL = 72;
const [LEAST_ROW, MOST_ROW] = [9, 26];
/** A map is about so high, whatever the number of layers. */
const HEIGHT = 420;

export class HeatMap {
  readonly #canvas = find('map', HTMLCanvasElement);
  readonly #onSelect: (cell: Cell) => void;
  #layers: readonly LayerLoad[] = [];
  #selected: Cell | null = null;

  constructor(onSelect: (cell: Cell) => void) {
    this.#onSelect = onSelect;
    const legend = heatNames.map((name, heat) => make('span', {}, make('i', { className: `heat-${heat}` }), name));
    byId('legend').append(...legend);
    this.#canvas.addEventListener('pointermove', (event) => this.#pointed(event));
    this.#canvas.addEventListener('pointerdown', (event) => this.#pointed(event));
    this.#canvas.addEventListener('keydown', (event) => this.#pressed(event));
    this.#canvas.addEventListener('focus', () => {
      if (this.#selected === null) this.#select({ row: 0, expert: 0 });
    });
    new ResizeObserver(() => this.#draw()).observe(byId('heat'));
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#draw());
  }

  show(layers: readonly LayerLoad[]): void {
    this.#layers = layers;
    this.#draw();
  }

  #geometry() {
    const experts = Math.max(1, ...this.#layers.map(({ rates }) => rates.length));
    const width = Math.max(60, this.#canvas.parentElement?.clientWidth ?? 0);
    const perCell = Math.ceil(experts / Math.max(1, Math.floor((width - LABEL) / LEAST_CELL)));
    const cells = Math.ceil(experts / perCell);
    const cell = Math.min(MOST_CELL, (width - LABEL) / cells);
    const row = Math.max(LEAST_ROW, Math.min(MOST_ROW, Math.floor(HEIGHT / Math.max(1, this.#layers.length))));
    return { width: LABEL + cells * cell, perCell, cells, cell, row, height: row * this.#layers.length };
  }

  #draw(): void {
    const { width, height, perCell, cells, cell, row } = this.#geometry();
    const scale = window.devicePixelRatio || 1;
    const context = this.#canvas.getContext('2d');
    if (context === null || this.#layers.length === 0) return;
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    this.#canvas.style.width = `${width}px`;
    this.#canvas.style.height = `${height}px`;
    context.scale(scale, scale);
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim();
    const heats = heatNames.map((_, heat) => colour(`heat-${heat}`));
    const gap = cell > 6 ? 1 : 0;
    context.font = `${Math.min(11, row)}px system-ui, sans-serif`;
    context.textBaseline = 'middle';
    context.textAlign = 'right';
    const everyLabel = row >= 12 ? 1 : 2;
    for (const [i, { layer, rates, mean }] of this.#layers.entries()) {
      context.fillStyle = colour('dim');
      if (i % everyLabel === 0) context.fillText(String(layer), LABEL - 6, i * row + row / 2);
      for (let c = 0; c < cells; c++) {
        const part = rates.slice(c * perCell, (c + 1) * perCell);
        if (part.length === 0) break;
        context.fillStyle = heats[heatOf(Math.max(...part), mean)] ?? '';
        context.fillRect(LABEL + c * cell, i * row, cell - gap, row - 1);
      }
    }
    if (this.#selected === null) return;
    context.strokeStyle = colour('ring');
    context.lineWidth = 2;
    const x = LABEL + Math.floor(this.#selected.expert / perCell) * cell;
    context.strokeRect(x, this.#selected.row * row + 0.5, Math.max(4, cell - gap), row - 2);
  }

  #pointed(event: PointerEvent): void {
    const { perCell, cell, row } = this.#geometry();
    const { left, top } = this.#canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - left - LABEL) / cell);
    const place = Math.floor((event.clientY - top) / row);
    const rates = this.#layers[place]?.rates.slice(column * perCell, (column + 1) * perCell) ?? [];
    if (column < 0 || rates.length === 0) return;
    // Of several that share a cell, the hottest.
    this.#select({ row: place, expert: column * perCell + rates.indexOf(Math.max(...rates)) });
  }

  #pressed(event: KeyboardEvent): void {
    const { row, expert } = this.#selected ?? { row: 0, expert: 0 };
    const experts = this.#layers[row]?.rates.length ?? 1;
    const moves: Readonly<Record<string, Cell>> = {
      ArrowUp: { row: row - 1, expert },
      ArrowDown: { row: row + 1, expert },
      ArrowLeft: { row, expert: expert - 1 },
      ArrowRight: { row, expert: expert + 1 },
      Home: { row, expert: 0 },
      End: { row, expert: experts - 1 },
    };
    const next = moves[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const last = this.#layers.length - 1;
    this.#select({
      row: Math.max(0, Math.min(last, next.row)),
      expert: Math.max(0, Math.min(experts - 1, next.expert)),
    });
  }

  #select(cell: Cell): void {
    const same = cell.row === this.#selected?.row && cell.expert === this.#selected.expert;
    this.#selected = cell;
    if (same) return;
    this.#draw();
    this.#onSelect(cell);
  }
}
