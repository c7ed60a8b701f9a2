/** A process that computes on two threads and leaves the stage as it is: for the test that it ends. */
import { loadThreadedStage } from '../../wasm/engine/node-team.ts';
import { memoryPack, randomWeights } from './memory-pack.ts';
import { CONFIGS } from './models.ts';

const stage = await loadThreadedStage(memoryPack(CONFIGS.tied, randomWeights(CONFIGS.tied, 7), 'q8_0'), 2);
await stage.forward([1, 2, 3]);
console.log('computed');
