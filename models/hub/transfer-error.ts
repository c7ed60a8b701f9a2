import { ModelError } from '../model-error.ts';

/** A connection failed, broke or fell silent, or brought fewer or more bytes than it said: always worth another try. */
export class TransferError extends ModelError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TransferError';
  }
}
