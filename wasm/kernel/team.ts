/**
 * Threads that share a memory, each with an instance of this module: a team. All members call the same functions with the same arguments (threads.ts sees to that); where
 * work can be split each does its share of it, and a barrier stands wherever one reads what others have written, or overwrites what they read. No sum is split, so the
 * result is the same to the bit however many they are. In the builds without threads a team has one member, and barriers are nothing.
 */

/** The team's record: counters, each on a cache line of its own, the job (threads.ts), then a line for each member. */
const PHASE: usize = 0;
const ARRIVED: usize = 64;
const ASLEEP: usize = 128;
const FAILED: usize = 192;
export const JOB: usize = 256;
const MEMBERS: usize = 320;

/** Looks at a barrier before a member goes to sleep: some 50 microseconds, longer than most barriers and the event loop's turns take. */
const LOOKS = 5000;
/** How long member 0 sleeps at a time, and how often before it takes the others for dead: a process that was stopped for a while has slept once. */
const SLEEP: i64 = 500_000_000;
const SLEEPS = 20;

export let team: usize = 0;
let size: i32 = 1;
let self: i32 = 0;

/** Makes this instance member `member` of `members`, whose record lies at `at` (zeroed, 320 bytes and 64 for each of them). Member 0 is the one that gives the jobs. */
export function joinTeam(at: usize, members: i32, member: i32): void {
  team = at;
  size = members;
  self = member;
}

/** This instance's number. */
@inline export function member(): i32 {
  return ASC_FEATURE_THREADS ? self : 0;
}

/** First of this member's share of n things, which are dealt out in whole units of `unit`. */
@inline export function shareFirst(n: i32, unit: i32): i32 {
  return ASC_FEATURE_THREADS ? border(n, unit, self) : 0;
}

/** Where it ends. */
@inline export function shareEnd(n: i32, unit: i32): i32 {
  return ASC_FEATURE_THREADS ? border(n, unit, self + 1) : n;
}

function border(n: i32, unit: i32, before: i32): i32 {
  return min(n, (n + unit - 1) / unit * before / size * unit);
}

/** Returns when every member has called it. Traps when the team has failed, or when member 0 has waited for ten seconds. */
@inline export function barrier(): void {
  if (ASC_FEATURE_THREADS) meet();
}

function meet(): void {
  if (ASC_FEATURE_THREADS) {
    const phase = atomic.load<i32>(team + PHASE);
    if (atomic.add<i32>(team + ARRIVED, 1) == size - 1) {
      atomic.store<i32>(team + ARRIVED, 0);
      atomic.store<i32>(team + PHASE, phase + 1);
      if (atomic.load<i32>(team + ASLEEP)) atomic.notify(team + PHASE, -1);
      return;
    }
    for (let i = 0; i < LOOKS; i++) {
      if (atomic.load<i32>(team + PHASE) != phase) return;
      // A locked instruction on a line of its own: WebAssembly has no other pause.
      atomic.add<i32>(team + MEMBERS + (<usize>self << 6), 0);
    }
    sleep(phase);
  }
}

function sleep(phase: i32): void {
  if (ASC_FEATURE_THREADS) {
    atomic.add<i32>(team + ASLEEP, 1);
    for (let i = 0; atomic.load<i32>(team + PHASE) == phase; i++) {
      if (atomic.load<i32>(team + FAILED) || i == SLEEPS) unreachable();
      // Whoever waits for a job may wait for ever.
      atomic.wait<i32>(team + PHASE, phase, self ? -1 : SLEEP);
      if (self) i = 0;
    }
    atomic.sub<i32>(team + ASLEEP, 1);
  }
}
