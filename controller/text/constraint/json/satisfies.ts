/** Whether one value, of an enum, satisfies what else is asked. */
import { accepts } from '../automaton/dfa.ts';
import type { Conjunction } from './disjuncts.ts';
import { countAt, isJsonObject, type Located, namedSchemasAt, numberAt, schemaAt, schemasAt } from './located.ts';
import { requiredAt } from './objects.ts';
import { numberOf } from './read-schema.ts';
import { patternAt, stringAutomaton } from './strings.ts';
import { equal, typeOf, typesAt, valuesAt } from './types.ts';

type Disjuncts = (schemas: Conjunction) => readonly Conjunction[];

export function satisfies(value: unknown, schemas: Conjunction, disjuncts: Disjuncts): boolean {
  return schemas.every((schema) => satisfiesOne(value, schema, disjuncts));
}

function satisfiesOne(value: unknown, schema: Located, disjuncts: Disjuncts): boolean {
  const types = typesAt(schema);
  const number = numberOf(value);
  const whole = number !== null && Number.isInteger(number);
  if (types !== null && !types.has(typeOf(value)) && !(whole && types.has('integer'))) return false;
  const values = valuesAt(schema);
  if (values !== null && !values.some((other) => equal(other, value))) return false;
  const inner = (item: unknown, schemas: readonly Located[]): boolean =>
    schemas.length === 0 || disjuncts(schemas).some((conjunction) => satisfies(item, conjunction, disjuncts));
  if (typeof value === 'string') {
    const dfa = stringAutomaton([schema]);
    return dfa === null || accepts(dfa, value);
  }
  if (number !== null) return numberSatisfies(number, schema);
  if (Array.isArray(value)) return arraySatisfies(value, schema, inner);
  return !isJsonObject(value) || objectSatisfies(value, schema, inner);
}

type Inner = (item: unknown, schemas: readonly Located[]) => boolean;

function numberSatisfies(value: number, schema: Located): boolean {
  const multiple = numberAt(schema, 'multipleOf');
  return (
    value >= (numberAt(schema, 'minimum') ?? value) &&
    value <= (numberAt(schema, 'maximum') ?? value) &&
    value > (numberAt(schema, 'exclusiveMinimum') ?? Number.NEGATIVE_INFINITY) &&
    value < (numberAt(schema, 'exclusiveMaximum') ?? Number.POSITIVE_INFINITY) &&
    (multiple === null || Number.isInteger(value / multiple))
  );
}

function arraySatisfies(value: readonly unknown[], schema: Located, inner: Inner): boolean {
  const prefix = schemasAt(schema, 'prefixItems');
  const items = schemaAt(schema, 'items');
  return (
    value.length >= (countAt(schema, 'minItems') ?? 0) &&
    value.length <= (countAt(schema, 'maxItems') ?? value.length) &&
    value.every((item, i) => inner(item, [prefix[i] ?? items ?? []].flat()))
  );
}

function objectSatisfies(value: { readonly [key: string]: unknown }, schema: Located, inner: Inner): boolean {
  const names = Object.keys(value);
  const properties = namedSchemasAt(schema, 'properties');
  const patterns = [...namedSchemasAt(schema, 'patternProperties')];
  const additional = schemaAt(schema, 'additionalProperties');
  const nameSchema = schemaAt(schema, 'propertyNames');
  return (
    requiredAt(schema).every((name) => Object.hasOwn(value, name)) &&
    names.length >= (countAt(schema, 'minProperties') ?? 0) &&
    names.length <= (countAt(schema, 'maxProperties') ?? names.length) &&
    names.every((name) => {
      const own = properties.get(name);
      const matched = patterns
        .filter(([pattern]) => accepts(patternAt(schema, `.patternProperties.${pattern}`, pattern, true), name))
        .map(([, item]) => item);
      const asked = [...(own === undefined ? [] : [own]), ...matched];
      const schemas = asked.length > 0 || additional === null ? asked : [additional];
      return inner(value[name], schemas) && (nameSchema === null || inner(name, [nameSchema]));
    })
  );
}
