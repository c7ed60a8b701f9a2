/**
 * Threads that share a memory, each with an instance of this module: a team. All members call the same functions with the same arguments (threads.ts sees to that); where
 * work can be split each does its share of it, and a barrier stands wherever one reads what others have written, or overwrites what they read. No sum is split, so the
 * result is the same to the bit however many they are. In the builds without threads a team has one member, and barriers are nothing.
 */

/** The team's record: counters, each on a cache line of its own, the job (threads.ts), a line for each member with its looks at barriers, and their shares. */
const PHASE: usize = 0;
const ARRIVED: usize = 64;
const ASLEEP: usize = 128;
const FAILED: usize = 192;
export const JOB: usize = 256;
const MEMBERS: usize = 320;

/** How long member 0 sleeps at a time, and how often before it takes the others for dead: a process that was stopped for a while has slept once. */
const SLEEP: i64 = 500_000_000;
const SLEEPS = 20;

/** Shares are counted in 4096ths of the whole. */
const WHOLE = 4096;
/** What changes hands after a job, and the difference in waiting (in looks) from which on. */
const STEP = 4;
const UNEVEN = 500;

/** What member 0 keeps of each member: where its share begins, and its looks when the job began. */
@unmanaged class Share {
  first: i32;
  looks: i32;
}

export let team: usize = 0;
let size: i32 = 1;
let self: i32 = 0;
/** Looks at a barrier before a member goes to sleep. */
let patience: i32 = 0;

/**
 * Makes this instance member `member` of `members`, whose record lies at `at` (zeroed, 384 bytes and 128 for each of them). Member 0 is the one that gives the jobs.
 * `looks`: how often to look at a barrier (8 ns each) before going to sleep there.
 */
export function joinTeam(at: usize, members: i32, member: i32, looks: i32): void {
  team = at;
  size = members;
  self = member;
  patience = looks;
  if (member == 0) for (let i = 0; i <= members; i++) shareOf(i).first = WHOLE * i / members;
}

@inline function looksOf(i: i32): usize {
  return team + MEMBERS + (<usize>i << 6);
}

@inline function shareOf(i: i32): Share {
  return changetype<Share>(looksOf(size) + <usize>i * offsetof<Share>());
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
  const units = (n + unit - 1) / unit;
  return min(n, (units * shareOf(before).first + WHOLE / 2) / WHOLE * unit);
}

/** Member 0, when a job begins. */
export function jobBegins(): void {
  if (ASC_FEATURE_THREADS) for (let i = 0; i < size; i++) shareOf(i).looks = atomic.load<i32>(looksOf(i));
}

/**
 * Member 0, when it has ended: whoever has waited longest for the others gets a little of the share of whom they waited for. Processors are not equally fast, least of
 * all with other programs on them.
 */
export function jobEnds(): void {
  if (ASC_FEATURE_THREADS) {
    let most = 0, least = 0;
    for (let i = 1; i < size; i++) {
      if (waited(i) > waited(most)) most = i;
      if (waited(i) < waited(least)) least = i;
    }
    if (waited(most) - waited(least) < UNEVEN || shareOf(least + 1).first - shareOf(least).first < WHOLE / size / 4) return;
    for (let i = least; i < most; i++) shareOf(i + 1).first -= STEP;
    for (let i = most; i < least; i++) shareOf(i + 1).first += STEP;
  }
}

function waited(i: i32): i32 {
  return ASC_FEATURE_THREADS ? atomic.load<i32>(looksOf(i)) - shareOf(i).looks : 0;
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
    for (let i = 0; i < patience; i++) {
      if (atomic.load<i32>(team + PHASE) != phase) return;
      // A locked instruction on a line of its own: WebAssembly has no other pause.
      atomic.add<i32>(looksOf(self), 1);
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
