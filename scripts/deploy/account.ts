import type { Bucket } from '../../models/r2/bucket.ts';

/** A Cloudflare account, as far as a deployment needs one. Every call throws `DeployError` that says what the account refuses and what to do. */
export interface Account {
  /** Who we are there: fails when the token is wrong. */
  whoami(): Promise<{ id: string; name: string }>;
  /** The account's part of workers.dev addresses. */
  subdomain(): Promise<string>;
  /** Names of all Workers. */
  listScripts(): Promise<string[]>;
  /**
   * Uploads one Worker and puts it in effect at once or not at all.
   * @param configPath its wrangler configuration, beside which its bundle lies
   * @param secrets to store with it, by name
   */
  deployScript(configPath: string, secrets: Record<string, string>): Promise<void>;
  /** Removes a Worker with its Durable Objects. One that is not there is removed already. */
  deleteScript(name: string): Promise<void>;
  /** Names of a Worker's secrets; none where there is no such Worker. */
  listSecrets(script: string): Promise<string[]>;
  putSecret(script: string, name: string, value: string): Promise<void>;
  hasBucket(name: string): Promise<boolean>;
  createBucket(name: string): Promise<void>;
  openBucket(name: string): Promise<Bucket>;
}
