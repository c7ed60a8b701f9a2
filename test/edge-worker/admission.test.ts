import { expect, it } from 'vitest';
import { Admission } from '../../worker/edge/admission.ts';

const never = new AbortController().signal;

it('runs as many as it may, lets as many wait, and turns the next away', async () => {
  const admission = new Admission(2, 1);
  const tickets = [admission.enter()!, admission.enter()!, admission.enter()!];
  expect(admission.enter()).toBeNull();
  await Promise.all([tickets[0]!.start(never), tickets[1]!.start(never)]);
  const third = tickets[2]!.start(never);
  expect([admission.running, admission.waiting]).toEqual([2, 1]);
  tickets[0]!.leave();
  tickets[0]!.leave();
  await third;
  expect([admission.running, admission.waiting]).toEqual([2, 0]);
  expect(admission.enter()).not.toBeNull();
});

it('serves those that wait in the order they came', async () => {
  const admission = new Admission(1, 3);
  const [first, ...others] = [admission.enter()!, admission.enter()!, admission.enter()!];
  await first!.start(never);
  const order: number[] = [];
  const done = others.map(async (ticket, i) => {
    await ticket.start(never);
    order.push(i);
    ticket.leave();
  });
  first!.leave();
  await Promise.all(done);
  expect(order).toEqual([0, 1]);
  expect([admission.running, admission.waiting]).toEqual([0, 0]);
});

it('forgets one that is aborted while it waits', async () => {
  const admission = new Admission(1, 2);
  const [running, leaving, next] = [admission.enter()!, admission.enter()!, admission.enter()!];
  await running.start(never);
  const client = new AbortController();
  const started = leaving.start(client.signal);
  client.abort(new Error('client gone'));
  await expect(started).rejects.toThrow('client gone');
  leaving.leave();
  const waiting = next.start(never);
  running.leave();
  await waiting;
  expect([admission.running, admission.waiting]).toEqual([1, 0]);
});
