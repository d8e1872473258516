import { expect, it } from 'vitest';
import { renamedFields } from '../../../../../controller/api/chat/renamed-fields.ts';
import { invalidField } from '../../../../../controller/errors.ts';

const names = {
  messages: 'input',
  'response_format.json_schema': 'text.format',
  response_format: 'text.format',
  'tools[].function.parameters': 'tools[].input_schema',
  'tools[].function': 'tools[]',
};

it.each([
  ['messages', 'input'],
  ['messages[2].content', 'input[2].content'],
  ['response_format.type', 'text.format.type'],
  ['response_format.json_schema.schema.oneOf', 'text.format.schema.oneOf'],
  ['tools[12].function.parameters.properties.a[3]', 'tools[12].input_schema.properties.a[3]'],
  ['tools[0].function.name', 'tools[0].name'],
  ['tools[0].function', 'tools[0]'],
  ['tools[0].functions', 'tools[0].functions'],
  ['tools.function', 'tools.function'],
  ['messages_of_others', 'messages_of_others'],
  ['temperature', 'temperature'],
])('an error at %s is one at %s', async (field, expected) => {
  const failing = renamedFields(names, async () => {
    throw invalidField(field, 5, 'a text');
  });
  await expect(failing).rejects.toMatchObject({ field: expected, message: `${expected}: expected a text, got 5` });
});
