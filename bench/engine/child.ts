import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Message, Request } from './measurement.ts';

/** An engine in a process of its own that measures when it is asked to: several may be there, but only the one that is asked does anything. */
export class Child {
  readonly #script: string;
  readonly #process: ChildProcess;
  readonly #exited: Promise<number | null>;
  #answered: { resolve: (value: number) => void; reject: (error: Error) => void } | null = null;

  /** @param script path relative to this folder. @param onMessage what it measures of itself. Waits for the engine to be ready; @throws when it fails */
  static async start(script: string, args: object, onMessage: (message: Message) => void): Promise<Child> {
    const child = new Child(script, args, onMessage);
    await child.#answer();
    return child;
  }

  private constructor(script: string, args: object, onMessage: (message: Message) => void) {
    this.#script = script;
    // A native library may print: that goes where progress goes.
    this.#process = fork(fileURLToPath(new URL(script, import.meta.url)), [JSON.stringify(args)], { stdio: ['ignore', 2, 2, 'ipc'] });
    this.#process.on('message', (message) => this.#receive(message as Message, onMessage));
    this.#exited = new Promise((resolve) => {
      this.#process.once('exit', resolve);
      this.#process.once('error', () => resolve(null));
    });
    this.#exited.then((code) => this.#answered?.reject(new Error(`${script} failed (exit ${code}).`)));
  }

  /** The figure of a job; of the suite, which reports its figures, 0. @throws when it fails */
  ask(request: Request): Promise<number> {
    const answer = this.#answer();
    this.#process.send(request);
    return answer;
  }

  /** Ends the process. */
  async stop(): Promise<void> {
    if (this.#process.connected) this.#process.disconnect();
    const code = await this.#exited;
    if (code !== 0) throw new Error(`${this.#script} failed (exit ${code}).`);
  }

  #answer(): Promise<number> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null)
      return Promise.reject(new Error(`${this.#script} has ended.`));
    return new Promise<number>((resolve, reject) => {
      this.#answered = { resolve, reject };
    }).finally(() => {
      this.#answered = null;
    });
  }

  #receive(message: Message, onMessage: (message: Message) => void): void {
    if (message.kind === 'answer') this.#answered?.resolve(message.value);
    else if (message.kind === 'failed') this.#answered?.reject(new Error(`${this.#script}: ${message.reason}`));
    else onMessage(message);
  }
}
