import { createHash } from 'node:crypto';
import { Metadata } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { adminAccess, OPERATOR_HEADER } from '../../../../controller/cluster/control/admin-access.ts';
import { createApiKeys, openAccess } from '../../../../platform/rpc/api-keys.ts';

const key = 'a-secret-of-operators';
const fingerprint = createHash('sha256').update(key).digest('hex').slice(0, 8);

function metadata(values: Readonly<Record<string, string>>): Metadata {
  const made = new Metadata();
  for (const [name, value] of Object.entries(values)) made.set(name, value);
  return made;
}

describe('an operator is called', () => {
  const bearer = { authorization: `Bearer ${key}` };
  it.each([
    ['local where no key is needed, whatever is sent', openAccess, bearer, 'local operator'],
    ['by what the client says', openAccess, { [OPERATOR_HEADER]: 'ada@ops1' }, 'local operator (ada@ops1)'],
    ['by the key, never with it', createApiKeys([key]), bearer, `key ${fingerprint}`],
    ['by both', createApiKeys([key]), { ...bearer, [OPERATOR_HEADER]: 'ada@ops1' }, `key ${fingerprint} (ada@ops1)`],
    [
      'by a claim without what would change how events read',
      openAccess,
      { [OPERATOR_HEADER]: `ada) by root; ${'x'.repeat(100)}` },
      `local operator (adabyroot${'x'.repeat(55)})`,
    ],
  ])('%s', (_, apiKeys, values, expected) => {
    const { nameOf } = adminAccess(openAccess, apiKeys);
    expect(nameOf(metadata(values))).toBe(expected);
  });
});
