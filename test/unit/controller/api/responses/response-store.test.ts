import { expect, it } from 'vitest';
import { ResponseStore } from '../../../../../controller/api/responses/response-store.ts';

const response = (id: string, text = '') => ({ id, output: [{ id: `msg_${id}`, type: 'message', content: text }] });
const input = (text: string) => [{ type: 'message', role: 'user', content: text }];

it('a conversation holds all turns before it, in order', () => {
  const store = new ResponseStore();
  store.keep(response('a'), input('1'), null);
  store.keep(response('b'), input('2'), store.get('a'));
  expect(store.get('b')?.conversation.map((item) => item['content'])).toEqual(['1', '', '2', '']);
  expect(store.get('b')?.input).toEqual(input('2'));
});

it('the responses that were used last are kept, up to a number', () => {
  const store = new ResponseStore({ responses: 2, size: 1e6 });
  for (const id of ['a', 'b']) store.keep(response(id), [], null);
  store.get('a');
  store.keep(response('c'), [], null);
  expect(['a', 'b', 'c'].filter((id) => store.get(id) !== null)).toEqual(['a', 'c']);
});

it('the size of conversations is bounded, turns before them included', () => {
  const store = new ResponseStore({ responses: 100, size: 1_000 });
  store.keep(response('a', 'x'.repeat(300)), [], null);
  store.keep(response('b', 'x'.repeat(300)), [], store.get('a'));
  expect([store.get('a'), store.get('b')?.conversation.length]).toEqual([null, 2]);
  store.keep(response('c', 'x'.repeat(1_000)), [], null);
  expect([store.get('b')?.response.id, store.get('c')]).toEqual(['b', null]);
  expect([store.delete('b'), store.delete('b')]).toEqual([true, false]);
  store.keep(response('d', 'x'.repeat(800)), [], null);
  expect(store.get('d')).not.toBeNull();
});
