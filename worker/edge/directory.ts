import { within } from '../../routes/within.ts';
import type { EdgeState } from '../routing/estimates.ts';
import type { EdgeFigures, Snapshot } from '../routing/figures.ts';
import type { Calibration } from '../routing/types.ts';
import type { EdgeClient, EdgeStatus } from './protocol.ts';

/** Longest wait for the engine's status, milliseconds: a request must not hang on a question about names. */
const statusTimeoutMs = 3_000;

/** What the engine has said of its model. */
interface KnownModel {
  model: string;
  quantization: string | null;
  contextTokens: number | null;
  calibration: Calibration | null;
}

/**
 * Knows what the edge model is called, what it can, and how busy it was when it last said so. The engine is asked once; after that its replies tell, and only
 * values are kept, as one request's I/O is closed to another.
 */
export class EdgeDirectory {
  readonly client: EdgeClient;
  readonly #offeredName: string | null;
  #known: KnownModel | null = null;
  /** It answers with another model than it had. */
  #isStale = false;
  #figures: Snapshot<EdgeFigures> | null = null;

  /** @param offeredName NEARSIDE_EDGE_MODEL; null for the engine's own name */
  constructor(client: EdgeClient, offeredName: string | null) {
    this.client = client;
    this.#offeredName = offeredName;
  }

  /** OpenAI's system_fingerprint: what else than the request determines an answer. */
  get fingerprint(): string | null {
    return this.#known?.quantization ? `nearside-${this.#known.quantization}` : null;
  }

  /** Prompt and answer together, tokens; null when not known. */
  get contextTokens(): number | null {
    return this.#known?.contextTokens ?? null;
  }

  get calibration(): Calibration | null {
    return this.#known?.calibration ?? null;
  }

  /** What the engine said last beside a reply, to whichever request of this isolate; null before that. */
  get figures(): Snapshot<EdgeFigures> | null {
    return this.#figures;
  }

  /** A reply had figures with it. */
  saw(figures: EdgeFigures | undefined): void {
    if (figures) this.#figures = { values: figures, asOf: Date.now() };
  }

  async state(): Promise<EdgeState> {
    if (!this.#known || this.#isStale) await this.status().catch(() => null);
    const model = this.#offeredName ?? this.#known?.model ?? null;
    if (model !== null) return { model, refusal: null };
    const message = 'The edge model is not available at the moment.';
    return { model, refusal: { code: 'model_unavailable', message, promptTokens: null, retryAfter: null } };
  }

  /** The name offered for what has just answered under the engine's own name, which may have changed with its pack. */
  nameOf(model: string): string {
    if (this.#known?.model !== model) {
      this.#known = { model, quantization: null, contextTokens: null, calibration: null };
      this.#isStale = true;
    }
    return this.#offeredName ?? model;
  }

  /** The engine's status. Throws when it cannot be reached in time. */
  async status(): Promise<EdgeStatus> {
    const status = await within(this.client.status(), statusTimeoutMs);
    if (!status) throw new Error(`The engine did not say its status within ${statusTimeoutMs} ms.`);
    const { model, quantization, contextLength: contextTokens, calibration } = status;
    if (model) this.#known = { model, quantization, contextTokens, calibration };
    this.#isStale = false;
    this.saw(status.figures);
    return status;
  }
}
