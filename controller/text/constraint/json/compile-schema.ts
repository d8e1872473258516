/** JSON Schema (draft 2020-12) as the JSON texts that satisfy it. */
import { call, choice, type Expression, never, type Rule, text } from '../automaton/expression.ts';
import { arrayExpression } from './arrays.ts';
import { type Conjunction, disjuncts } from './disjuncts.ts';
import { keyword, type Located, located, numberAt } from './located.ts';
import { type ObjectContext, objectExpression } from './objects.ts';
import { writeExact } from './read-schema.ts';
import { References } from './references.ts';
import { satisfies } from './satisfies.ts';
import { stringExpression } from './strings.ts';
import { equal, type Type, types, typesAt, valuesAt } from './types.ts';
import { UnsupportedSchema } from './unsupported-schema.ts';
import { type Bound, numbers } from './writing/numbers.ts';

/** `objects`: no other values are meant, whatever the schema says. Throws UnsupportedSchema, ConstraintTooLarge. */
export function compileSchema(schema: unknown, { objects = false } = {}): Expression {
  const root = located(schema, '');
  const asked = objects ? [root, located({ type: 'object' }, '\nobject')] : [root];
  return new SchemaCompiler(new References(root)).value(asked) ?? never;
}

class SchemaCompiler implements ObjectContext {
  readonly #references: References;
  /** By the paths of the schemas that hold together. Null: nothing satisfies them. */
  readonly #rules = new Map<string, Rule>();

  readonly #scalars = new Map<string, Rule>();

  constructor(references: References) {
    this.#references = references;
  }

  readonly disjuncts = (schemas: Conjunction): readonly Conjunction[] => disjuncts(schemas, this.#references);

  readonly value = (schemas: Conjunction): Expression | null => {
    const key = [...new Set(schemas.map(({ path, schema }) => (schema === true ? '' : `${path}\n`)))].sort().join('');
    const known = this.#rules.get(key);
    if (known !== undefined) return call(known);
    if (schemas.some(({ schema }) => schema === false)) return null;
    const rule: Rule = { name: schemas[0]?.path ?? '', expression: null };
    this.#rules.set(key, rule);
    rule.expression = choice(...this.disjuncts(schemas).map((conjunction) => this.#conjunction(conjunction)));
    return call(rule);
  };

  #conjunction(schemas: Conjunction): Expression {
    const values = schemas.map(valuesAt).filter((list) => list !== null);
    if (values.length > 0) {
      const common = values.reduce((a, b) => a.filter((value) => b.some((other) => equal(value, other))));
      const left = common.filter((value) => satisfies(value, schemas, this.disjuncts));
      return choice(...left.map((value) => text(writeExact(value))));
    }
    const allowed = commonTypes(schemas);
    return choice(...[...allowed].map((type) => this.#type(type, schemas)));
  }

  /** One rule for all schemas that ask for the same. */
  #shared(schemas: Conjunction, keywords: readonly string[], make: () => Expression, type = ''): Expression {
    const asked = schemas.map(({ schema }) => keywords.map((key) => keyword(schema, key)));
    const key = JSON.stringify([type, keywords[0], ...new Set(asked.map((values) => JSON.stringify(values)))]);
    const rule = this.#scalars.get(key) ?? { name: type, expression: make() };
    this.#scalars.set(key, rule);
    return call(rule);
  }

  #type(type: Type, schemas: Conjunction): Expression {
    switch (type) {
      case 'null':
        return text('null');
      case 'boolean':
        return choice(text('true'), text('false'));
      case 'string':
        return this.#shared(schemas, stringKeywords, () => stringExpression(schemas));
      case 'integer':
      case 'number':
        return this.#shared(schemas, numberKeywords, () => numberExpression(schemas, type === 'integer'), type);
      case 'array':
        return arrayExpression(schemas, this.value);
      case 'object':
        return objectExpression(schemas, this);
    }
  }
}

const stringKeywords = ['minLength', 'maxLength', 'pattern', 'format'];
const numberKeywords = ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'];

/** "integer" only where "number" is not allowed. */
function commonTypes(schemas: Conjunction): ReadonlySet<Type> {
  const sets = schemas.map(typesAt).filter((set) => set !== null);
  return new Set(
    types.filter((type) => {
      const allows = (set: ReadonlySet<Type>): boolean => set.has(type) || (type === 'integer' && set.has('number'));
      if (type === 'integer') return sets.some((set) => !set.has('number')) && sets.every(allows);
      return sets.every(allows);
    }),
  );
}

function numberExpression(schemas: Conjunction, integer: boolean): Expression {
  const bounds = (key: string, included: boolean): Bound[] =>
    schemas.flatMap((schema) => {
      const value = numberAt(schema, key);
      return value === null ? [] : [{ value, included }];
    });
  const tighter = (sign: 1 | -1) => (a: Bound, b: Bound) => {
    if (a.value !== b.value) return (a.value - b.value) * sign > 0 ? a : b;
    return a.included ? b : a;
  };
  const lower = [...bounds('minimum', true), ...bounds('exclusiveMinimum', false)];
  const upper = [...bounds('maximum', true), ...bounds('exclusiveMaximum', false)];
  return numbers({
    integer,
    least: lower.length === 0 ? null : lower.reduce(tighter(1)),
    most: upper.length === 0 ? null : upper.reduce(tighter(-1)),
    multiples: schemas.flatMap((schema) => multipleAt(schema)),
  });
}

function multipleAt(schema: Located): readonly number[] {
  const value = numberAt(schema, 'multipleOf');
  if (value === null) return [];
  if (value > 0) return [value];
  throw new UnsupportedSchema(`${schema.path}.multipleOf`, 'expected a number above 0');
}
