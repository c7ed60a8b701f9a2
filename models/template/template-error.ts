/** The chat template refuses these messages; the message is the template's own and can be shown to the client, whose request is at fault. */
export class TemplateError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TemplateError';
  }
}
