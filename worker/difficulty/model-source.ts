/** Bindings and variables of the difficulty Worker. */
export interface ModelEnv {
  /** The bucket of a model of one's own. */
  MODELS?: { get(key: string): Promise<{ arrayBuffer(): Promise<ArrayBuffer> } | null> };
  /** Its key there. Without it the model of the bundle is used. */
  NEARSIDE_DIFFICULTY_MODEL?: string;
}

type LoadModel = () => Promise<Uint8Array>;

/** Where the model comes from; `loadDefault` where nothing is set. What is wrong with the settings is said when it is loaded. */
export function modelLoader({ MODELS: bucket, NEARSIDE_DIFFICULTY_MODEL: key }: ModelEnv, loadDefault: LoadModel): LoadModel {
  if (!key?.trim()) return loadDefault;
  return async () => {
    if (!bucket) throw new Error('NEARSIDE_DIFFICULTY_MODEL names an object, and there is no R2 bucket bound as MODELS to hold it.');
    const object = await bucket.get(key.trim());
    if (!object) throw new Error(`the bucket has no object ${key.trim()}.`);
    return new Uint8Array(await object.arrayBuffer());
  };
}
