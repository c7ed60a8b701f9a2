/**
 * Every word that a decision's reasons may consist of, with what it says. Machine-readable: words are added, not renamed. The gateway adds what happened at the
 * origin afterwards (`retried`, `hedged`, `fallback` and error codes).
 */
export const reasonTexts = {
  // What was asked for.
  edge_model_requested: 'The client asked for the edge model by its name.',
  origin_model_requested: "The client asked for an origin's model by its name.",
  model_not_found: 'No model here has the name that was asked for.',
  // What the edge model cannot do.
  not_text: 'The prompt or the wanted answer is not only text.',
  tools: 'There are tools, or the conversation contains calls of tools.',
  response_format: 'The edge model cannot be held to the format that the answer must have.',
  n: 'Several answers are wanted.',
  unsupported_parameter: 'There is a parameter that the edge model does not know.',
  thinking: 'The client asked for thinking, which an origin does better.',
  max_tokens: 'More tokens are wanted than the edge gives.',
  max_tokens_too_large: 'More tokens are wanted than the edge gives, and the edge was asked for by name.',
  prompt_too_long: 'The prompt has more tokens than the edge takes.',
  context_length_exceeded: 'The prompt has more tokens than the edge takes, and the edge was asked for by name.',
  // What else rules a route out.
  residency: 'Where the data may go leaves no other route.',
  escalated_earlier: 'An earlier turn of this conversation was taken to the origin, and it stays there.',
  no_edge: 'There is no edge model.',
  no_origin: 'There is no origin.',
  queue_full: "The edge's queue is full.",
  model_unavailable: 'The edge model is not available.',
  bad_request: "The edge model's template rejects the messages.",
  low_gate: "The edge's answer began with too little confidence, so the origin was asked before anything had been sent.",
  invalid_value: 'The messages are not valid, and nobody but the edge could answer.',
  origin_unavailable: 'The origin failed or is down.',
  origin_cold: 'The origin is being started.',
  // The policy.
  edge_only: 'The policy is edge-only.',
  origin_only: 'The policy is origin-only.',
  edge_first: 'The policy is edge-first, and the edge is good enough.',
  low_confidence: "The edge model's answer is not likely enough to be good.",
  no_max_tokens: 'The client set no limit, and the answer is likely to be longer than the edge may give.',
  latency_target: "Only this route keeps the request's target for the first token, or comes closest to it.",
  floor_yields:
    "The edge model's answer is less likely to be good than the policy asks for, but even a bad one would be the better bargain: the origin would have to be started, kept or waited for.",
  gate_yields:
    'The answer is sent without being judged by its first tokens, for the same reason: a bad one would cost less than to ask the origin.',
  hysteresis: 'The routes are nearly equal, so it stays with the one taken before.',
  // Why the chosen route is the better one.
  cheaper: 'It costs less.',
  faster: 'It answers sooner.',
  spares_others: 'It takes less time from others: from those who wait at the origin, or share the edge.',
  better_answer: 'Its answer is more likely to be good.',
  route_not_allowed: 'The policy or the residency rule forbids the only route that could answer.',
  tie: 'Both routes are equal: the edge it is.',
  // What weighs against the other route.
  edge_cold: 'The edge model is not loaded.',
  queue_long: 'Much of the time at the route not taken would be spent waiting in its queue.',
  origin_far: 'Much of the time at the origin would be spent on the way there.',
  origin_maybe_cold: 'Nobody has heard from the origin for long: it may have to be started.',
  origin_maybe_down: 'All of the origin has failed lately. It is asked to see whether it is back: if not, it says so at once.',
  gpu_idle: "Most of the origin's price is for GPU time that such requests alone would start or keep a node for.",
  // What becomes of the answer.
  edge_max_tokens_cap: "The client set no limit: the answer ends at the edge's.",
} as const;

export type Reason = keyof typeof reasonTexts;
