import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { MessageTypeDefinition } from '@grpc/proto-loader';
import { describe, expect, test } from 'vitest';
import { compileModel } from '../../../controller/model/compile.ts';
import { decode, encode, type ModelSpec, packageDefinition, packageRoot } from '../../../proto/messages.ts';

const golden = join(packageRoot, 'test/fixtures/golden');
const modelSpec = packageDefinition['conclave.v1.ModelSpec'] as MessageTypeDefinition<object, ModelSpec>;

describe('compileModel', async () => {
  for (const name of await readdir(golden)) {
    test(`${name} survives the wire unchanged`, async () => {
      const { spec } = await compileModel(join(golden, name));
      const decoded = decode(modelSpec, encode(modelSpec, spec));
      expect(decoded).toEqual(spec);
    });
  }
});
