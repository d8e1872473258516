/** A regular expression that is none, or asks for what an automaton cannot do. */
export class UnsupportedPattern extends Error {}
