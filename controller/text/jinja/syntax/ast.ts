/** What a template says, once parsed. */
export type Expression =
  | { readonly kind: 'const'; readonly value: string | bigint | number | boolean | null }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'tuple' | 'list'; readonly items: readonly Expression[] }
  | { readonly kind: 'dict'; readonly items: readonly (readonly [Expression, Expression])[] }
  | { readonly kind: 'attribute'; readonly of: Expression; readonly name: string }
  | { readonly kind: 'item'; readonly of: Expression; readonly key: Expression | Slice }
  | { readonly kind: 'call'; readonly of: Expression; readonly args: Arguments }
  /** Without a value in filter blocks and `set` blocks: there it is what the block renders. */
  | { readonly kind: 'filter'; readonly of: Expression | null; readonly name: string; readonly args: Arguments }
  | { readonly kind: 'test'; readonly of: Expression; readonly name: string; readonly args: Arguments }
  | { readonly kind: 'unary'; readonly operator: '+' | '-' | 'not'; readonly of: Expression }
  | {
      readonly kind: 'binary';
      readonly operator: BinaryOperator;
      readonly left: Expression;
      readonly right: Expression;
    }
  | { readonly kind: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'concat'; readonly parts: readonly Expression[] }
  | { readonly kind: 'compare'; readonly first: Expression; readonly rest: readonly Comparison[] }
  | {
      readonly kind: 'if';
      readonly test: Expression;
      readonly value: Expression;
      readonly otherwise: Expression | null;
    };

export type BinaryOperator = '+' | '-' | '*' | '/' | '//' | '%' | '**';
export type CompareOperator = '==' | '!=' | '<' | '<=' | '>' | '>=' | 'in' | 'not in';

export interface Comparison {
  readonly operator: CompareOperator;
  readonly with: Expression;
}

export interface Slice {
  readonly kind: 'slice';
  readonly start: Expression | null;
  readonly stop: Expression | null;
  readonly step: Expression | null;
}

/** What a call is given. */
export interface Arguments {
  readonly positional: readonly Expression[];
  readonly named: readonly (readonly [string, Expression])[];
  /** `*values` and `**values`. */
  readonly spread: Expression | null;
  readonly spreadNamed: Expression | null;
}

/** What is assigned to. */
export type Target =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'member'; readonly namespace: string; readonly name: string }
  | { readonly kind: 'targets'; readonly items: readonly Target[] };

export interface Parameter {
  readonly name: string;
  readonly default: Expression | null;
}

export interface ForLoop {
  readonly kind: 'for';
  readonly target: Target;
  readonly over: Expression;
  readonly test: Expression | null;
  readonly recursive: boolean;
  readonly body: Body;
  readonly otherwise: Body;
}

export interface MacroDefinition {
  readonly name: string;
  readonly parameters: readonly Parameter[];
  readonly body: Body;
}

export type Statement = { readonly line: number } & (
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'print'; readonly value: Expression }
  | { readonly kind: 'set'; readonly target: Target; readonly value: Expression }
  | { readonly kind: 'set-block'; readonly target: Target; readonly filter: Expression | null; readonly body: Body }
  | { readonly kind: 'if'; readonly branches: readonly Branch[]; readonly otherwise: Body }
  | ForLoop
  | { readonly kind: 'break' | 'continue' }
  | ({ readonly kind: 'macro' } & MacroDefinition)
  | { readonly kind: 'call-block'; readonly call: Expression; readonly caller: MacroDefinition }
  | { readonly kind: 'filter-block'; readonly filter: Expression; readonly body: Body }
  | { readonly kind: 'with'; readonly values: readonly (readonly [Target, Expression])[]; readonly body: Body }
  /** A body whose names end with it. */
  | { readonly kind: 'scope'; readonly body: Body }
  | { readonly kind: 'block'; readonly body: Body }
  | { readonly kind: 'load'; readonly tag: string; readonly template: Expression }
);

export interface Branch {
  readonly test: Expression;
  readonly body: Body;
}

export type Body = readonly Statement[];
