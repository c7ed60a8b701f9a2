/** Something is wrong with a model that a user points at, or with a pack; the message is one sentence that can be shown as it is. */
export class ModelError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ModelError';
  }
}
