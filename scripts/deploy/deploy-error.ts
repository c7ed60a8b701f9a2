/** Something that whoever deploys can mend: the message is one sentence that says what is wrong and what to do. */
export class DeployError extends Error {
  override readonly name = 'DeployError';
}
