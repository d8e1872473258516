import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../proto/package-root.ts';

/** One measured case: the columns of a table's row, in order. */
export type BenchRow = Readonly<Record<string, string | number>>;

export interface BenchReport {
  /** File name below bench/results, without its ending. */
  readonly name: string;
  /** What the bench answers. */
  readonly question: string;
  /** What else decides the figures: shape, threads, lengths. */
  readonly conditions: Readonly<Record<string, string | number>>;
  /** Seed of everything random; null where nothing is. */
  readonly seed: number | null;
  readonly rows: readonly BenchRow[];
  /** What else was measured in the same run, with columns of its own. */
  readonly parts?: readonly BenchPart[];
  /** What the figures say. */
  readonly notes: readonly string[];
}

export interface BenchPart {
  readonly title: string;
  readonly conditions: Readonly<Record<string, string | number>>;
  readonly rows: readonly BenchRow[];
}

/** Prints the report as a table and writes it to bench/results/NAME.json. */
export function publish(report: BenchReport): void {
  const { name, question, conditions, rows, parts = [], notes } = report;
  const machine = describeMachine();
  const path = join(packageRoot, 'bench/results', `${name}.json`);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, `${JSON.stringify({ ...report, machine }, null, 2)}\n`);
  const facts = (of: object) => Object.entries(of).map(([key, value]) => `${key}: ${value}`);
  const further = parts.flatMap((part) => ['', part.title, ...facts(part.conditions), '', table(part.rows)]);
  const lines = [question, ...facts({ ...machine, ...conditions }), '', table(rows), ...further];
  console.log([...lines, '', ...notes, `written to ${path}`].join('\n'));
}

/** Middle and spread of repeated measurements. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export function spread(samples: readonly number[]): Spread {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const at = (index: number): number => sorted[index] ?? Number.NaN;
  return {
    median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2,
    least: at(0),
    most: at(sorted.length - 1),
  };
}

/** The value below which a share of the samples lies. */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

/** Three digits that matter. */
export function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

function describeMachine(): Readonly<Record<string, string | number>> {
  return {
    processor: `${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} logical CPUs`,
    memory: `${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
    system: `${process.platform} ${release()}, Node ${process.version}`,
    commit: commit(),
    date: new Date().toISOString(),
  };
}

/** The commit that is measured; marked when the tree differs from it. */
function commit(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty', '--abbrev=12'], {
      cwd: packageRoot,
      encoding: 'utf8',
    }).trim();
  } catch {
    return 'unknown';
  }
}

function table(rows: readonly BenchRow[]): string {
  const columns = Object.keys(rows[0] ?? {});
  const cells = [columns, ...rows.map((row) => columns.map((column) => String(row[column] ?? '')))];
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => line[index]?.length ?? 0)));
  const lines = cells.map((line) => `| ${line.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join(' | ')} |`);
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return [lines[0], rule, ...lines.slice(1)].join('\n');
}
