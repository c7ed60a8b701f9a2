import type { Peer } from '../../../wasm/engine/pipeline/peer.ts';
import type { StageErrorCode } from '../../../wasm/engine/stage.ts';

/** Changes when stages of another version would not understand each other, or compute something else. */
export const STAGE_VERSION = 4;

/** What a stage is asked, once it is connected. */
export type StageMethod = Exclude<keyof Peer, 'spec' | 'epoch' | 'connect'>;
export type StageArguments<M extends StageMethod> = Parameters<Peer[M]>;
export type StageValue<M extends StageMethod> = Awaited<ReturnType<Peer[M]>>;

/** Why there is no answer. Not an exception: those lose their fields on the way. */
export interface Refused {
  ok: false;
  code: StageErrorCode | 'lost';
  message: string;
}

export type Outcome<T> = { ok: true; value: T } | Refused;

/** Who wants to use a stage, and what it takes the stage to be. */
export interface StageHello {
  version: number;
  /** Hash of the plan, and which of its stages this is to be. */
  plan: string;
  stage: number;
  /** Random, made anew by each pipeline. A stage serves one: the latest. */
  client: string;
  /** Sessions that this client still knows; all others are freed. */
  sessions: string[];
}

/**
 * A connection, on which all further calls are made: a call of a Durable Object's own methods is billed as a request each, one of an object that it has returned is not.
 */
export interface StageConnection {
  call<M extends StageMethod>(method: M, args: StageArguments<M>): Promise<Outcome<StageValue<M>>>;
  /** `step` and `answer` as text and bytes (flat-calls.ts). */
  step(sessions: string, batch: ArrayBuffer): Promise<ArrayBuffer | Refused>;
  answer(queries: string, hidden: ArrayBuffer): Promise<ArrayBuffer | Refused>;
}

export type StageWelcome =
  | { ok: true; epoch: string; connection: StageConnection }
  /** Trying again would not help. */
  | { ok: false; message: string };

/** What a pipeline needs of a stage's Durable Object. */
export interface StageDoor {
  /** Loads the stage if it is not there. (`connect` is taken: the platform calls it for TCP.) */
  attach(hello: StageHello): Promise<StageWelcome>;
}
