/** A grammar that is not written as it should be. */
export class GrammarSyntax extends Error {}
