/** The figures on top of the page. */
import type { Frame } from '../../frame.ts';
import { byId, find, make, setText } from '../elements/element.ts';
import { amount, milliseconds, percent } from '../elements/figures.ts';

/** Frames of the graph: eight minutes at most, and the width of one at least. */
const HISTORY = 240;
const LEAST = 30;
const [WIDTH, HEIGHT] = [240, 40];

export class Tiles {
  #history: readonly number[] = [];

  show(frame: Frame): void {
    this.#history = [...this.#history, frame.tokensPerSecond].slice(-HISTORY);
    setText(byId('tokens'), amount(frame.tokensPerSecond));
    showGraph(this.#history);
    showFigures(frame);
  }
}

function showFigures(frame: Frame): void {
  const { timeToFirstToken, interToken, queueTime } = frame.latency;
  showTimes('first-token', timeToFirstToken, queueTime === null ? '' : `, queue ${milliseconds(queueTime.p50Ms)}`);
  showTimes('gap', interToken, '');
  setFigure('running', String(frame.running), 'running');
  setText(byId('waiting'), `${frame.waiting} waiting`);
  const { imbalance, layers } = frame.load;
  (byId('imbalance').parentElement as HTMLElement).hidden = frame.workers.length < 2;
  const worst = Math.max(...imbalance, 0);
  const mean = imbalance.reduce((sum, value) => sum + value, 0) / Math.max(1, imbalance.length);
  setText(byId('imbalance'), imbalance.length === 0 ? '–' : mean.toFixed(2));
  setText(
    byId('imbalance-more'),
    imbalance.length === 0 ? 'no load yet' : `worst ${worst.toFixed(2)}, layer ${layers[imbalance.indexOf(worst)]}`,
  );
  setText(byId('cache'), frame.kvCacheUsageRatio === null ? '–' : percent(frame.kvCacheUsageRatio));
}

function showTimes(id: string, times: Frame['latency']['interToken'], more: string): void {
  setText(byId(id), times === null ? '–' : milliseconds(times.p50Ms));
  setText(byId(`${id}-more`), times === null ? 'none in the last minute' : `p99 ${milliseconds(times.p99Ms)}${more}`);
}

function setFigure(id: string, figure: string, unit: string): void {
  const element = byId(id);
  if (element.textContent !== `${figure} ${unit}`) element.replaceChildren(`${figure} `, make('small', {}, unit));
}

/** The latest values, at the right edge, under the greatest of them. */
function showGraph(history: readonly number[]): void {
  const most = Math.max(...history, 1e-9);
  const step = WIDTH / (Math.max(LEAST, history.length) - 1);
  const first = WIDTH - step * (history.length - 1);
  const points = history.map(
    (value, i) => `${(first + i * step).toFixed(1)},${(HEIGHT - 1 - (value / most) * (HEIGHT - 4)).toFixed(1)}`,
  );
  const shape = (name: 'polyline' | 'polygon', all: readonly string[]): void => {
    const graph = find('graph', SVGSVGElement);
    const element =
      graph.querySelector(name) ?? graph.appendChild(document.createElementNS('http://www.w3.org/2000/svg', name));
    element.setAttribute('points', all.join(' '));
  };
  shape('polygon', [`${first},${HEIGHT}`, ...points, `${WIDTH},${HEIGHT}`]);
  shape('polyline', points);
}
