import { parseArgs } from 'node:util';
import { FolderStorage } from '../pack/folder-storage.ts';
import { openPack } from '../pack/reader.ts';
import { type Command, numberOption, positionals } from './command.ts';
import { pipelinePlanner } from './engine.ts';

export const plan: Command = {
  summary: 'Show how a pack is cut into stages that each fit an isolate',
  help: `npm run -s models -- plan PACK [--budget MB] [--sessions S] [--context C] [--json]

Cuts the model into as few stages as fit: runs of layers and slices of the vocabulary, each with its weights, its share of the sessions' state, its
working memory and its JavaScript. One stage where everything fits in one. Names what does not fit.

  --budget MB    what one isolate may take (default 100; Cloudflare stops one at 128)
  --sessions S   requests at once (default 4)
  --context C    tokens of each (default 512)
  --json         print the plan as JSON on one line, for NEARSIDE_EDGE_PLAN, and nothing else`,

  async run(args) {
    const options = {
      budget: { type: 'string' },
      sessions: { type: 'string' },
      context: { type: 'string' },
      json: { type: 'boolean' },
    } as const;
    const { values, positionals: given } = parseArgs({ args, options, allowPositionals: true });
    const { PACK } = positionals(given, 'PACK');
    const { manifest } = await openPack(new FolderStorage(PACK));
    const { planStages, encodePlan, describePlan, PLAN_DEFAULTS: defaults } = await pipelinePlanner();
    const budgetBytes = numberOption('budget', values.budget, defaults.budgetBytes / 1e6, { min: 1 }) * 1e6;
    const made = planStages(manifest, {
      budgetBytes,
      sessions: numberOption('sessions', values.sessions, defaults.sessions, { min: 1, integer: true }),
      contextLength: numberOption('context', values.context, defaults.contextLength, { min: 1, integer: true }),
    });
    if (values.json) console.log(encodePlan(made));
    else for (const line of describePlan(made, budgetBytes)) console.log(line);
  },
};
