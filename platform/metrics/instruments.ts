import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** Values of a label, each with its number. */
export type LabelledNumbers = Iterable<readonly [string, number]>;

/** Makes metrics in a registry, all with one prefix: some are counted as things happen, some are read when scraped. */
export class Instruments {
  readonly #registry: Registry;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  counter(name: string, help: string, labelNames: string[] = []): Counter {
    return new Counter({ ...this.#named(name, help), labelNames });
  }

  histogram(name: string, help: string, buckets: number[], labelNames: string[] = []): Histogram {
    return new Histogram({ ...this.#named(name, help), buckets, labelNames });
  }

  readGauge(name: string, help: string, read: () => number): void {
    new Gauge({
      ...this.#named(name, help),
      collect() {
        this.set(read());
      },
    });
  }

  readGauges(name: string, help: string, label: string, read: () => LabelledNumbers): void {
    new Gauge({
      ...this.#named(name, help),
      labelNames: [label],
      collect() {
        this.reset();
        for (const [value, number] of read()) this.set({ [label]: value }, number);
      },
    });
  }

  readCounter(name: string, help: string, read: () => number): void {
    new Counter({
      ...this.#named(name, help),
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  }

  readCounters(name: string, help: string, label: string, read: () => LabelledNumbers): void {
    new Counter({
      ...this.#named(name, help),
      labelNames: [label],
      collect() {
        this.reset();
        for (const [value, number] of read()) this.inc({ [label]: value }, number);
      },
    });
  }

  #named(name: string, help: string) {
    return { name: `conclave_${name}`, help, registers: [this.#registry] };
  }
}
