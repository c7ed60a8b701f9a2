import { StageModel as Stage } from '../../../worker/edge/stage/stage-model.ts';

export { default } from '../../../worker/edge/stage/index.ts';

/** A stage that can be made to end at once, with everything it holds and in the middle of whatever it does: as when the platform moves or restarts it. */
export class StageModel extends Stage {
  async die(): Promise<void> {
    this.ctx.abort('The test has ended this stage.');
  }
}
