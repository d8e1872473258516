/** Why a model cannot be had from the Hub. The message says what happened, `remedy` what to do about it. */
export class HubError extends Error {
  override readonly name = 'HubError';
  readonly code: HubErrorCode;
  readonly remedy: string;

  constructor(code: HubErrorCode, message: string, remedy: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.remedy = remedy;
  }
}

export type HubErrorCode =
  | 'HUB_SETTINGS'
  | 'HUB_DENIED'
  | 'HUB_NOT_FOUND'
  | 'HUB_REFUSED'
  | 'HUB_UNREACHABLE'
  | 'HUB_CORRUPT'
  | 'HUB_UNSUITABLE'
  | 'HUB_OFFLINE'
  | 'HUB_NO_SPACE';

/** A failure that may pass: a cut connection, an overloaded server. */
export class TransientError extends Error {
  override readonly name = 'TransientError';
  /** Milliseconds that the server asks to wait; null where it does not say. */
  readonly waitMs: number | null;

  constructor(message: string, waitMs: number | null = null, options?: ErrorOptions) {
    super(message, options);
    this.waitMs = waitMs;
  }
}
