import { FolderStorage } from '../../models/pack/folder-storage.ts';
import { openPack } from '../../models/pack/reader.ts';
import { benchPack } from './model-files.ts';
import { findChromium, installPeer } from './peers/install.ts';
import { LLAMACPP, MODEL, NODE, ORT, WORKERD } from './ratios.ts';

/** One process to run. */
export interface Task {
  engine: string;
  threads: number;
  script: string;
  args: object;
  /** Why it cannot run here. */
  skip?: string | null;
}

export interface Settings {
  quick: boolean;
  reps: number;
  /** Pairs of each ratio that is measured by turns. */
  pairs: number;
}

/** Peers too slow to take turns with. They come first, so that what is compared most is measured closest together. */
export async function slowTasks(model: string, gguf: string, settings: Settings): Promise<Task[]> {
  if (settings.quick) return [];
  const tasks = wllamaTasks(model, gguf, settings);
  const pack = await benchPack(gguf, 'q4_0');
  const onnxruntime = { engine: ORT, script: 'peers/onnxruntime.ts', args: { pack, model, ...settings } };
  const skip = 'it is measured in workerd, which has no threads: there is a figure with one only';
  return [{ ...onnxruntime, threads: 1 }, { ...onnxruntime, threads: 2, skip }, ...tasks];
}

/** Our engine and llama.cpp. */
export async function fastTasks(model: string, gguf: string, settings: Settings): Promise<Task[]> {
  const pack = await benchPack(gguf, 'q4_0');
  const { tokenCount } = (await openPack(new FolderStorage(pack))).manifest;
  const skip = installPeer('node-llama-cpp');
  const inWorkerd: Task = { engine: WORKERD, threads: 1, script: 'our-workerd.ts', args: { pack, model, ...settings } };
  const inNode = (threads: number): Task => ({ engine: NODE, threads, script: 'our-node.ts', args: { pack, model, threads, ...settings } });
  const llamacpp = (threads: number): Task => ({
    engine: LLAMACPP,
    threads,
    script: 'peers/llamacpp.ts',
    args: { gguf, model, tokenCount, threads, ...settings },
    skip,
  });
  const tasks = [inWorkerd, llamacpp(1), inNode(1)];
  return settings.quick ? tasks : [...tasks, llamacpp(2), inNode(2)];
}

function wllamaTasks(model: string, gguf: string, settings: Settings): Task[] {
  const chromium = findChromium();
  const skip = chromium
    ? installPeer('wllama')
    : 'there is no Chromium: install one (on Debian: apt-get install chromium) or name its program in CHROMIUM';
  const types = model === MODEL ? ['Q4_0', 'Q4_K'] : ['GGUF'];
  return types.flatMap((type) =>
    [1, 2].map((threads) => ({
      engine: `wllama ${type}`,
      threads,
      script: 'peers/wllama.ts',
      args: { gguf, model, type, threads, chromium, ...settings },
      skip,
    })),
  );
}
