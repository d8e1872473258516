import { describe, expect, it } from 'vitest';
import { BlockManager } from '../../../../../worker/engine/cache/block-manager.ts';
import { BlockTable } from '../../../../../worker/engine/cache/block-table.ts';

const blocks = (blockCount: number, caching = true): BlockManager =>
  new BlockManager({ blockCount, blockSize: 2, caching, salt: 3 });
const source = (tokens: readonly number[]) => ({ tokenAt: (position: number) => tokens[position]! });
const ids = (table: BlockTable): number[] => [...table.ids.subarray(0, table.count)];

/** A table whose blocks hold all the tokens. */
function filled(manager: BlockManager, tokens: readonly number[]): BlockTable {
  const table = new BlockTable();
  manager.reuse(table, source(tokens), tokens.length);
  expect(manager.grow(table, manager.blocksFor(tokens.length))).toBe(true);
  manager.commit(table, source(tokens), tokens.length);
  return table;
}

function found(
  manager: BlockManager,
  tokens: readonly number[],
  limit = tokens.length,
): { table: BlockTable; positions: number } {
  const table = new BlockTable();
  return { table, positions: manager.reuse(table, source(tokens), limit) };
}

describe('cache blocks', () => {
  it('are shared by sequences that begin alike, whole blocks only', () => {
    const manager = blocks(8);
    const first = filled(manager, [1, 2, 3, 4, 5]);
    const { table, positions } = found(manager, [1, 2, 3, 4, 5, 6]);
    expect(positions).toBe(4);
    expect(ids(table)).toEqual(ids(first).slice(0, 2));
    expect(ids(table).map((block) => manager.referencesOf(block))).toEqual([2, 2]);
  });

  it('are not shared beyond the limit', () => {
    const manager = blocks(8);
    filled(manager, [1, 2, 3, 4]);
    expect(found(manager, [1, 2, 3, 4], 3).positions).toBe(2);
  });

  it('are not shared when what precedes them differs', () => {
    const manager = blocks(8);
    filled(manager, [1, 2, 3, 4]);
    expect(found(manager, [9, 9, 3, 4]).positions).toBe(0);
    expect(found(manager, [3, 4]).positions).toBe(0);
  });

  it('are not shared before they are computed', () => {
    const manager = blocks(8);
    const table = new BlockTable();
    manager.grow(table, 2);
    manager.commit(table, source([1, 2, 3, 4]), 3);
    expect(found(manager, [1, 2, 3, 4]).positions).toBe(2);
  });

  it('stay reusable after their last holder until the space is needed, the end of a sequence going first', () => {
    const manager = blocks(3);
    manager.release(filled(manager, [1, 2, 3, 4, 5, 6]));
    expect(manager.freeCount).toBe(3);
    const other = new BlockTable();
    expect(manager.grow(other, 1)).toBe(true);
    expect(found(manager, [1, 2, 3, 4, 5, 6]).positions).toBe(4);
  });

  it('are forgotten least recently used first, and those with nothing to reuse before all others', () => {
    const manager = blocks(3);
    manager.release(filled(manager, [1, 2]));
    manager.release(filled(manager, [3, 4]));
    manager.release(found(manager, [1, 2]).table);
    const empty = new BlockTable();
    manager.grow(empty, 1);
    manager.release(empty);
    manager.grow(empty, 1);
    const still = found(manager, [3, 4]);
    expect(still.positions).toBe(2);
    manager.release(still.table);
    manager.release(found(manager, [1, 2]).table);
    const next = new BlockTable();
    manager.grow(next, 1);
    expect(found(manager, [3, 4]).positions).toBe(0);
    expect(found(manager, [1, 2]).positions).toBe(2);
  });

  it('are given out all or none', () => {
    const manager = blocks(2);
    const table = new BlockTable();
    expect(manager.grow(table, 3)).toBe(false);
    expect([table.count, manager.freeCount]).toEqual([0, 2]);
  });

  it('are not reused once invalid, held or free', () => {
    const manager = blocks(4);
    const held = filled(manager, [1, 2]);
    const free = filled(manager, [3, 4]);
    const [a, b] = [ids(held)[0]!, ids(free)[0]!];
    manager.release(free);
    manager.invalidate(a);
    manager.invalidate(b);
    expect(found(manager, [1, 2]).positions).toBe(0);
    expect(found(manager, [3, 4]).positions).toBe(0);
    manager.release(held);
    expect(manager.freeCount).toBe(4);
  });

  it('that were computed twice are registered once', () => {
    const manager = blocks(4);
    const tables = [new BlockTable(), new BlockTable()];
    for (const table of tables) manager.grow(table, 1);
    for (const table of tables) manager.commit(table, source([1, 2]), 2);
    expect(ids(found(manager, [1, 2]).table)).toEqual(ids(tables[0]!));
  });

  it('are never shared with caching off', () => {
    const manager = blocks(8, false);
    filled(manager, [1, 2, 3, 4]);
    expect(found(manager, [1, 2, 3, 4]).positions).toBe(0);
  });

  it('with the same hash are distinguished by their tokens', () => {
    // Among 100,000 contents about 100,000² / 2 / 2³² = 1.2 pairs share a hash; the later of a pair displaces the earlier.
    const manager = blocks(100_001);
    const contents = (i: number): number[] => [i % 449, Math.floor(i / 449)];
    const owner = new Map<number, number>();
    for (let i = 0; i < 100_000; i++) {
      const table = filled(manager, contents(i));
      owner.set(ids(table)[0]!, i);
    }
    let displaced = 0;
    for (let i = 0; i < 100_000; i++) {
      const { table, positions } = found(manager, contents(i));
      if (positions === 0) displaced++;
      else if (owner.get(ids(table)[0]!) !== i) throw new Error(`${i} got the block of ${owner.get(ids(table)[0]!)}`);
    }
    expect(displaced).toBeGreaterThan(0);
    expect(displaced).toBeLessThan(10);
  });
});
