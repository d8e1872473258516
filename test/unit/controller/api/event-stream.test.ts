import { EventEmitter } from 'node:events';
import type { FastifyReply } from 'fastify';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { EventStream } from '../../../../controller/api/answers/event-stream.ts';

class Response extends EventEmitter {
  headersSent = false;
  destroyed = false;
  readonly written: string[] = [];
  writeHead(): void {
    this.headersSent = true;
  }
  flushHeaders(): void {}
  write(text: string): boolean {
    this.written.push(text);
    return true;
  }
  end(): void {
    this.emit('close');
  }
}

let response: Response;
let events: EventStream;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'setImmediate'] });
  response = new Response();
  events = new EventStream({ raw: response, hijack() {}, getHeaders: () => ({}) } as unknown as FastifyReply);
});
afterEach(() => void vi.useRealTimers());

it('has its headers soon, but not before a refusal could have come', () => {
  events.open();
  vi.advanceTimersByTime(50);
  expect([events.started, response.headersSent]).toEqual([false, false]);
  vi.advanceTimersByTime(500);
  expect([events.started, response.headersSent]).toEqual([true, true]);
});

it('sends a comment every 15 s while nothing comes, also after it has begun', () => {
  events.open();
  vi.advanceTimersByTime(40_000);
  expect(response.written).toEqual([': ping\n\n', ': ping\n\n']);
  events.write('{}');
  vi.advanceTimersByTime(14_000);
  expect(response.written.splice(0)).toEqual([': ping\n\n', ': ping\n\n', 'data: {}\n\n']);
  vi.advanceTimersByTime(2_000);
  expect(response.written).toEqual([': ping\n\n']);
  events.close();
  vi.advanceTimersByTime(100_000);
  expect(response.written).toEqual([': ping\n\n']);
});

it('sends nothing to a client that has gone, or that was answered otherwise', () => {
  events.open();
  events.cancel();
  vi.advanceTimersByTime(100_000);
  events.open();
  response.emit('close');
  vi.advanceTimersByTime(100_000);
  expect([events.started, response.written]).toEqual([false, []]);
});
