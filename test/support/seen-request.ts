/** A chat request as the misbehaving origin saw it. */
export interface SeenRequest {
  body: Record<string, unknown>;
  headers: Record<string, string>;
  /** Name of the endpoint that was asked; empty for the one without a name. */
  endpoint: string;
  /** The response is over, whoever ended it. */
  closed: boolean;
  aborted: boolean;
  /** When the client left, milliseconds since the epoch. */
  abortedAt: number | null;
}
