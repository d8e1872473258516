/** A constraint that would take more time or memory than one request may have. */
export class ConstraintTooLarge extends Error {}

/** States of a grammar; a state takes some tens of bytes on the wire and in the engine. */
export const maxStates = 100_000;
/** Twelve bytes each; a request has at most a few megabytes. */
export const maxEdges = 250_000;
/** States of one pattern, format, length or range of numbers. */
export const maxPatternStates = 10_000;
