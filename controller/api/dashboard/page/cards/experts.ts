/** The card of experts: the heat map, what is known of the chosen one, and the busiest ones as a table. */
import type { Frame } from '../../frame.ts';
import { byId, make, setText, showRows } from '../elements/element.ts';
import { amount } from '../elements/figures.ts';
import type { Placement } from '../server/requests.ts';
import { type Cell, HeatMap } from './heat-map.ts';
import { type LayerLoad, layersOf } from './load.ts';

const BUSIEST = 8;

export interface ExpertsOptions {
  /** Called for the expert that is to be scaled. */
  readonly onScale: (layer: number, expert: number) => void;
  /** Who holds what, of the plan of an epoch; null while that is not known. */
  readonly placement: (epoch: number) => Placement | null;
}

export class ExpertsCard {
  readonly #options: ExpertsOptions;
  readonly #map = new HeatMap((cell) => {
    this.#selected = cell;
    this.#showDetail();
  });
  #layers: readonly LayerLoad[] = [];
  #epoch = 0;
  #selected: Cell | null = null;
  #operable = false;

  constructor(options: ExpertsOptions) {
    this.#options = options;
    byId('scale-one').addEventListener('click', () => {
      const layer = this.#layers[this.#selected?.row ?? 0];
      if (layer !== undefined) options.onScale(layer.layer, this.#selected?.expert ?? 0);
    });
  }

  show(frame: Frame, operable: boolean): void {
    this.#layers = layersOf(frame, (base64) => Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0)));
    this.#epoch = frame.plan?.epoch ?? 0;
    this.#operable = operable;
    const empty = !(frame.load.busiest > 0);
    byId('heat').hidden = empty;
    byId('legend').hidden = empty;
    byId('heat-empty').hidden = !empty;
    if (empty) return;
    this.#map.show(this.#layers);
    this.#showBusiest();
    this.#showDetail();
  }

  #showDetail(): void {
    if (this.#selected === null) return;
    const { row, expert } = this.#selected;
    const layer = this.#layers[row];
    if (layer === undefined) return;
    const rate = layer.rates[expert] ?? 0;
    const placement = this.#options.placement(this.#epoch);
    const holders = placement?.layers.find((entry) => entry.layer === layer.layer)?.experts[expert] ?? [];
    const where = holders.length === 0 ? '' : `, on ${holders.map((holder) => placement?.workers[holder]).join(', ')}`;
    setText(
      byId('detail'),
      `Layer ${layer.layer}, expert ${expert}: ${amount(rate)} rows/s, ${times(rate, layer.mean)} × the mean${where}`,
    );
    byId('scale-one').hidden = !this.#operable;
  }

  #showBusiest(): void {
    if (!(byId('busiest').parentElement as HTMLDetailsElement).open) return;
    const all = this.#layers.flatMap(({ layer, rates, mean }) =>
      rates.map((rate, expert) => ({ layer, expert, rate, mean })),
    );
    showRows(byId('busiest').querySelector('tbody') as Element, {
      items: all.sort((a, b) => b.rate - a.rate).slice(0, BUSIEST),
      keyOf: ({ layer, expert }) => `${layer} ${expert}`,
      create: () => make('tr', {}, make('td'), make('td'), make('td'), make('td')),
      update: (row, { layer, expert, rate, mean }) => {
        const texts = [String(layer), String(expert), amount(rate), times(rate, mean)];
        for (const [i, text] of texts.entries()) setText(row.cells[i] as Element, text);
      },
    });
  }
}

function times(rate: number, mean: number): string {
  return mean === 0 ? '0' : amount(rate / mean);
}
