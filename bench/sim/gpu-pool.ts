import type { Clock } from './clock.ts';
import { GpuNode, type OriginJob, type OriginListener } from './gpu-node.ts';
import type { SimRequest } from './request.ts';
import { type Scenario, scalesToZero } from './scenario.ts';

interface Slot {
  node: GpuNode | null;
  state: 'off' | 'starting' | 'up';
  /** Paid for since then. */
  since: number;
}

interface Held {
  request: SimRequest;
  listener: OriginListener;
  job: OriginJob | null;
}

/** The autoscaler looks so often, milliseconds, and wants nodes to be this full at most. */
const lookEveryMs = 15_000;
const targetUse = 0.8;

/**
 * The nodes of a pool behind its endpoints. A pool of fixed size has an endpoint per node; one that grows and shrinks has one address, in front of which requests
 * wait while nothing is up, and goes to the least loaded node.
 */
export class GpuPool {
  readonly #clock: Clock;
  readonly #origin: Scenario['origin'];
  readonly #slots: Slot[];
  #held: Held[] = [];
  #looking = false;
  #dead = false;
  /** Milliseconds of nodes that were paid for and let go. */
  #paidMs = 0;
  starts = 0;

  /** @param lastsMs from the first arrival to the last */
  constructor(clock: Clock, origin: Scenario['origin'], lastsMs: number) {
    this.#clock = clock;
    this.#origin = origin;
    const up = origin.startNodes ?? origin.minNodes;
    this.#slots = Array.from({ length: origin.maxNodes }, (_, i) => ({
      node: i < up ? new GpuNode(clock, origin) : null,
      state: i < up ? 'up' : 'off',
      since: clock.now,
    }));
    if (!origin.dead) return;
    clock.after(origin.dead[0] * lastsMs, () => this.#die());
    clock.after(origin.dead[1] * lastsMs, () => {
      this.#dead = false;
    });
  }

  get endpoints(): number {
    const { minNodes, maxNodes } = this.#origin;
    return minNodes === maxNodes ? maxNodes : 1;
  }

  get up(): GpuNode[] {
    return this.#slots.flatMap(({ node, state }) => (node && state === 'up' ? [node] : []));
  }

  get isDead(): boolean {
    return this.#dead;
  }

  get waiting(): number {
    return this.#held.length + this.up.reduce((sum, node) => sum + node.waiting, 0);
  }

  get running(): number {
    return this.up.reduce((sum, node) => sum + node.running, 0);
  }

  /** Of one endpoint, as its own metrics tell. */
  loadOf(endpoint: number): { waiting: number; running: number; kvUse: number } {
    const nodes = this.endpoints === 1 ? this.up : [this.#slots[endpoint]!.node!];
    const sum = (value: (node: GpuNode) => number) => nodes.reduce((total, node) => total + value(node), 0);
    const held = this.endpoints === 1 ? this.#held.length : 0;
    return {
      waiting: held + sum((node) => node.waiting),
      running: sum((node) => node.running),
      kvUse: sum((node) => node.kvUse) / Math.max(1, nodes.length),
    };
  }

  /** Null when nobody answers the connection. */
  submit(endpoint: number, request: SimRequest, listener: OriginListener): OriginJob | null {
    if (this.#dead) return null;
    if (this.endpoints > 1) return this.#slots[endpoint]!.node!.submit(request, listener);
    this.#lookSoon();
    const node = this.#leastLoaded();
    if (node) return node.submit(request, listener);
    const held: Held = { request, listener, job: null };
    this.#held.push(held);
    if (!this.#slots.some(({ state }) => state === 'starting')) this.#startOne();
    return {
      cancel: () => {
        this.#held = this.#held.filter((other) => other !== held);
        held.job?.cancel();
      },
    };
  }

  /** Node-milliseconds that are paid for, nodes that are always on until `endsAt`. */
  paidMs(endsAt: number): number {
    return this.#slots.reduce((sum, { state, since }) => sum + (state === 'off' ? 0 : Math.max(0, endsAt - since)), this.#paidMs);
  }

  #leastLoaded(): GpuNode | null {
    const load = ({ waiting, running }: GpuNode) => waiting + running;
    return this.up.reduce<GpuNode | null>((best, node) => (!best || load(node) < load(best) ? node : best), null);
  }

  #die(): void {
    this.#dead = true;
    const held = this.#held.splice(0);
    for (const node of this.up) node.kill();
    for (const { listener } of held) listener.failed();
  }

  #startOne(): void {
    const slot = this.#slots.find(({ state }) => state === 'off');
    if (!slot) return;
    this.starts++;
    slot.state = 'starting';
    slot.since = this.#clock.now;
    this.#clock.after(1000 * this.#origin.startSeconds, () => {
      slot.state = 'up';
      slot.node = new GpuNode(this.#clock, this.#origin);
      for (const held of this.#held.splice(0)) held.job = this.#leastLoaded()!.submit(held.request, held.listener);
    });
  }

  #lookSoon(): void {
    if (this.#looking || this.endpoints > 1 || this.#origin.minNodes === this.#origin.maxNodes) return;
    this.#looking = true;
    this.#clock.after(lookEveryMs, () => {
      this.#looking = false;
      this.#look();
    });
  }

  #look(): void {
    const { minNodes, maxNodes, slots, keepSeconds } = this.#origin;
    const work = this.waiting + this.running;
    const wanted = Math.min(maxNodes, Math.max(minNodes, Math.ceil(work / (targetUse * slots))));
    for (let have = this.#slots.filter(({ state }) => state !== 'off').length; have < wanted; have++) this.#startOne();
    for (const slot of this.#slots) {
      const { node } = slot;
      const idle =
        node && slot.state === 'up' && node.waiting + node.running === 0 && this.#clock.now - node.idleSince >= 1000 * keepSeconds;
      if (!idle || this.up.length <= Math.max(minNodes, wanted)) continue;
      this.#paidMs += this.#clock.now - slot.since;
      slot.state = 'off';
      slot.node = null;
    }
    const on = this.#slots.filter(({ state }) => state !== 'off').length;
    if (on > minNodes || work > 0) this.#lookSoon();
  }

  /** Nobody is up, and the pool is one that sleeps. */
  get isCold(): boolean {
    return scalesToZero(this.#origin) && this.up.length === 0;
  }
}
