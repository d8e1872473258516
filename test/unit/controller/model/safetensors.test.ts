import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readSafetensorsHeader } from '../../../../controller/model/checkpoint/safetensors.ts';
import { headerBytes, temporaryFolder, writeSparse } from './checkpoint-folder.ts';

/** Reads a file of `start` and a hole up to `bytes`: its tensors, and everything that was said against it. */
async function read(start: Uint8Array, bytes = start.byteLength) {
  const path = join(await temporaryFolder(), 'model.safetensors');
  await writeSparse(path, start, bytes);
  const problems: string[] = [];
  const header = await readSafetensorsHeader(path, (problem) => problems.push(problem)).catch((error: Error) => {
    problems.push(error.message);
    return null;
  });
  return { tensors: header?.tensors ?? null, problems };
}

function prefix(length: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(length);
  return bytes;
}

const f32 = (shape: unknown, data_offsets: unknown) => ({ dtype: 'F32', shape, data_offsets });

test('a header says where each tensor lies', async () => {
  const header = headerBytes({
    __metadata__: { format: 'pt' },
    b: { dtype: 'BF16', shape: [2, 3], data_offsets: [8, 20] },
    a: f32([2], [0, 8]),
    scalar: { dtype: 'I64', shape: [], data_offsets: [20, 28] },
    empty: { dtype: 'F16', shape: [0, 4], data_offsets: [28, 28] },
  });
  const start = header.byteLength;
  const { tensors, problems } = await read(header, start + 28);
  expect(problems).toEqual([]);
  expect(Object.fromEntries(tensors!)).toEqual({
    b: { dtype: 'BF16', shape: [2, 3], offset: start + 8, bytes: 12 },
    a: { dtype: 'F32', shape: [2], offset: start, bytes: 8 },
    scalar: { dtype: 'I64', shape: [], offset: start + 20, bytes: 8 },
    empty: { dtype: 'F16', shape: [0, 4], offset: start + 28, bytes: 0 },
  });
});

describe('a file is refused', () => {
  test.each([
    ['empty', Buffer.alloc(0), 0, /truncated: 8 bytes expected, 0 found/],
    ['shorter than its length prefix', Buffer.alloc(5), 5, /truncated: 8 bytes expected, 5 found/],
    ['shorter than its header', prefix(500n), 100, /truncated: the header claims 500 bytes, the file has 100/],
    [
      'a header of 2^64 - 1 bytes',
      prefix(0xffff_ffff_ffff_ffffn),
      100,
      /claims 18446744073709551615 bytes; the format/,
    ],
    ['a header beyond the format', prefix(100_000_001n), 2e8, /claims 100000001 bytes; the format allows 100000000/],
    ['no JSON', headerBytes('{"a": '), 14, /the header is not valid: /],
    ['an empty header', headerBytes(''), 8, /the header is not valid: /],
    ['a list for a header', headerBytes([1]), 11, /the header is not valid: expected a JSON object/],
    ['not UTF-8', Buffer.concat([prefix(2n), Buffer.from([0xff, 0xfe])]), 10, /the header is not valid: /],
    ['not a number', headerBytes('{"a": NaN}'), 18, /the header is not valid: /],
    ['a key given twice', headerBytes('{"a": 1, "b": 2, "a": 3}'), 32, /key "a" is given twice in one object/],
    ['a key given twice, written differently', headerBytes('{"a": 1, "\\u0061": 3}'), 29, /is given twice/],
    ['deep nesting', headerBytes(`{"a": ${'['.repeat(5000)}${']'.repeat(5000)}}`), 10_015, /nested deeper than 32/],
  ])('%s', async (_, start, bytes, problem) => {
    const { tensors, problems } = await read(start, bytes);
    expect(tensors).toBeNull();
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(problem);
  });

  test('a folder in its place', async () => {
    const path = join(await temporaryFolder(), 'model.safetensors');
    await mkdir(path);
    await expect(readSafetensorsHeader(path, () => {})).rejects.toThrow('not a regular file');
  });
});

describe('a tensor is refused', () => {
  test.each([
    ['no object', 7, '"t": expected an object, found 7'],
    [
      'an unknown type',
      { dtype: 'F12', shape: [1], data_offsets: [0, 4] },
      /"t": dtype "F12" is unknown; expected one of /,
    ],
    ['a type that is an inherited name', { dtype: 'toString', shape: [], data_offsets: [0, 0] }, /dtype "toString"/],
    ['no type', { shape: [1], data_offsets: [0, 4] }, /dtype undefined is unknown/],
    ['a negative length', f32([-1], [0, 4]), /shape \[-1\] is not a list of at most 8 lengths below 2\^32/],
    ['a fractional length', f32([0.5], [0, 2]), /shape \[0\.5\] is not/],
    ['a length of 2^32', f32([2 ** 32], [0, 4]), /shape \[4294967296\] is not/],
    ['too many dimensions', f32(Array(9).fill(1), [0, 4]), /is not a list of at most 8/],
    ['a shape that overflows', f32([4e9, 4e9, 4e9], [0, 4]), /shape \[4000000000,4000000000,4000000000\] has too many/],
    ['a shape of no elements that overflows', f32([4e9, 4e9, 4e9, 0], [0, 4]), /span 4 bytes/],
    ['one offset', f32([1], [0]), /data_offsets \[0\] are not two byte positions/],
    ['offsets as text', f32([1], ['0', '4']), /data_offsets \["0","4"\] are not/],
    ['offsets backwards', f32([1], [4, 0]), /data_offsets \[4,0\] span -4 bytes; F32 \[1\] takes 4/],
    ['offsets of another size', f32([3], [0, 4]), /data_offsets \[0,4\] span 4 bytes; F32 \[3\] takes 12/],
    ['offsets beyond 2^53', f32([1], [2 ** 53, 2 ** 53 + 4]), /are not two byte positions/],
  ])('%s', async (_, entry, problem) => {
    const header = headerBytes({ t: entry });
    const { tensors, problems } = await read(header, header.byteLength + 4);
    expect(tensors?.size).toBe(0);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(problem);
  });

  test.each([
    [
      'overlapping',
      { a: f32([2], [0, 8]), b: f32([2], [4, 12]) },
      12,
      /^"b" overlaps "a": it starts at byte \d+, before/,
    ],
    ['apart', { a: f32([1], [0, 4]), b: f32([1], [8, 12]) }, 12, /^4 bytes between "a" and "b" belong to no tensor$/],
    ['late', { a: f32([1], [4, 8]) }, 8, /^4 bytes between the header and "a" belong to no tensor$/],
    ['the same place', { a: f32([1], [0, 4]), b: f32([1], [0, 4]) }, 4, /^"b" overlaps "a"/],
    ['beyond the end', { a: f32([4], [0, 16]) }, 10, /^truncated: "a" ends at byte \d+, the file has \d+$/],
    ['followed by bytes', { a: f32([1], [0, 4]) }, 9, /^5 bytes after "a" belong to no tensor$/],
    ['none, followed by bytes', {}, 3, /^3 bytes after the header belong to no tensor$/],
  ])('data that is %s', async (_, entries, dataBytes, problem) => {
    const header = headerBytes(entries);
    const { problems } = await read(header, header.byteLength + dataBytes);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(problem);
  });

  test('each for itself', async () => {
    const header = headerBytes({ a: 1, b: f32([1], [0, 4]), c: f32([1], 2) });
    const { problems } = await read(header, header.byteLength + 4);
    expect(problems).toEqual(['"a": expected an object, found 1', '"c": data_offsets 2 are not two byte positions']);
  });
});

test('names that objects inherit are tensors like any other', async () => {
  const header = headerBytes('{"__proto__": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}}');
  const { tensors, problems } = await read(header, header.byteLength + 2);
  expect(problems).toEqual([]);
  expect(tensors?.get('__proto__')?.bytes).toBe(2);
});

test('an unreadable file is an error, not a crash', async () => {
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'x'), '');
  await expect(readSafetensorsHeader(join(folder, 'x', 'y'), () => {})).rejects.toThrow(/ENOTDIR/);
});
