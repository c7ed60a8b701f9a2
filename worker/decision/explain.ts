import type { RouteEstimate, RouteReport } from '../../routes/gateway.ts';
import type { Chosen, Expected } from '../routing/types.ts';
import type { Placement } from './placement.ts';

/** What was expected of the routes, in one header: `edge ttft=120ms total=480ms usd=0.000012 q=0.86; origin ...`. Medians; the chosen route first. */
export function estimateHeader({ route, expected: { edge, origin } }: Chosen): string {
  const parts: [string, Expected | null][] = [
    ['edge', edge],
    ['origin', origin],
  ];
  if (route === 'origin') parts.reverse();
  return parts.flatMap(([name, expected]) => (expected ? [`${name} ${shortly(expected)}`] : [])).join('; ');
}

function shortly({ ttftMs, totalMs, usd, quality }: Expected): string {
  return `ttft=${Math.round(ttftMs.p50)}ms total=${Math.round(totalMs.p50)}ms usd=${dollars(usd)} q=${quality.toFixed(2)}`;
}

/** Two digits that count, and no exponent. */
function dollars(usd: number): string {
  if (usd <= 0) return '0';
  return usd.toFixed(Math.min(12, Math.max(2, 1 - Math.floor(Math.log10(usd)))));
}

/** The whole decision, for `POST /v1/route`. Nothing of the prompt's text is in it. */
export function routeReport({ chosen, features, policy }: Placement): RouteReport {
  const { route, model, reasons, expected, runnerUp } = chosen;
  return {
    route,
    model,
    reasons,
    expected: { edge: estimateOf(expected.edge), origin: estimateOf(expected.origin) },
    policy: policy.name,
    gate: chosen.route === 'edge' && chosen.gate !== null,
    race: chosen.race,
    features: {
      prompt_tokens: features.promptTokens ?? features.estimatedTokens,
      prompt_bytes: features.promptBytes,
      max_tokens: features.maxTokens,
      stream: features.stream,
      kind: features.kind,
      thinking: features.thinking,
      obstacles: features.obstacles.map(({ param }) => param),
      text: features.text && { ...features.text },
      difficulty: features.difficulty && { ...features.difficulty },
      escalated_earlier: features.escalatedEarlier,
      previous_route: features.previousRoute,
    },
    runner_up: runnerUp,
  };
}

function estimateOf(expected: Expected | null): RouteEstimate | null {
  if (!expected) return null;
  const { model, ttftMs, totalMs, usd, quality, calibrated, outputTokens } = expected;
  const quantiles = ({ p50, p95 }: { p50: number; p95: number }) => ({ p50: round(p50), p95: round(p95) });
  return {
    model,
    ttft_ms: quantiles(ttftMs),
    total_ms: quantiles(totalMs),
    usd,
    quality,
    calibrated,
    output_tokens: quantiles(outputTokens),
  };
}

const round = (value: number): number => Math.round(value * 10) / 10;
