import type { Piece } from '../text/sequence-text.ts';

/** Joins the pieces of one sequence to one that says the same. */
export class JoinedPiece implements Piece {
  readonly index: number;
  text = '';
  readonly tokenIds: number[] = [];
  readonly logprobs: Piece['logprobs'] = [];
  readonly textOffsets: number[] = [];
  finish: Piece['finish'] = null;

  constructor(index: number) {
    this.index = index;
  }

  add(piece: Piece): void {
    this.text += piece.text;
    for (const id of piece.tokenIds) this.tokenIds.push(id);
    for (const scored of piece.logprobs) this.logprobs.push(scored);
    for (const offset of piece.textOffsets) this.textOffsets.push(offset);
    this.finish = piece.finish;
  }
}
