import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Feed } from '../../../../../controller/api/dashboard/feed.ts';

/** A response that is read, or is not. */
class Reader extends EventEmitter {
  written = '';
  writableNeedDrain = false;
  destroyed = false;
  writeHead(): void {}
  write(data: string | Buffer): void {
    this.written += data.toString();
  }
  end(): void {
    this.emit('close');
  }
  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }
  get response(): ServerResponse {
    return this as unknown as ServerResponse;
  }
}

const allowed = (): boolean => true;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

function feedOf(maxWatchers = 8) {
  const frame = vi.fn<() => string>(() => '{}');
  return { frame, feed: new Feed({ frame, intervalMs: 2_000, maxWatchers }) };
}

it('a frame is made once for all who watch, and none while nobody does', () => {
  const { feed, frame } = feedOf();
  const readers = [new Reader(), new Reader(), new Reader()];
  for (const reader of readers) feed.add(reader.response, {}, '{"cluster":true}', allowed);
  frame.mockClear();
  vi.advanceTimersByTime(6_000);
  expect(frame).toHaveBeenCalledTimes(3);
  for (const { written } of readers) {
    expect(written).toMatch(/^event: session\ndata: {"cluster":true}\n\n/);
    expect(written.match(/event: frame\ndata: {}\n\n/g)).toHaveLength(4);
  }
  for (const reader of readers) reader.emit('close');
  vi.advanceTimersByTime(60_000);
  expect(frame).toHaveBeenCalledTimes(3);
  expect(vi.getTimerCount()).toBe(0);
});

it('one that does not read misses frames, keeps nobody waiting, and is let go in the end', () => {
  const { feed } = feedOf();
  const [slow, quick] = [new Reader(), new Reader()];
  for (const reader of [slow, quick]) feed.add(reader.response, {}, '{}', allowed);
  slow.writableNeedDrain = true;
  const before = slow.written;
  vi.advanceTimersByTime(20_000);
  expect(slow.written).toBe(before);
  slow.writableNeedDrain = false;
  vi.advanceTimersByTime(2_000);
  expect(slow.written.length).toBeGreaterThan(before.length);
  slow.writableNeedDrain = true;
  vi.advanceTimersByTime(60_000);
  expect([slow.destroyed, quick.destroyed, feed.watchers]).toEqual([true, false, 1]);
});

it('one whose key is taken away gets no more', () => {
  const { feed } = feedOf();
  const reader = new Reader();
  let known = true;
  feed.add(reader.response, {}, '{}', () => known);
  known = false;
  const before = reader.written;
  vi.advanceTimersByTime(4_000);
  expect([reader.written, feed.watchers]).toEqual([before, 0]);
});

it('no more watch than may, and nobody once the server stops', () => {
  const { feed } = feedOf(1);
  const reader = new Reader();
  feed.add(reader.response, {}, '{}', allowed);
  const refused = new Reader();
  expect(() => feed.add(refused.response, {}, '{}', allowed)).toThrow('1 dashboards are open');
  expect(refused.written).toBe('');
  feed.close();
  expect(feed.watchers).toBe(0);
  expect(() => feed.add(refused.response, {}, '{}', allowed)).toThrow('shutting down');
});
