import { concat } from '../../routes/concat.ts';
import type { Deadline } from './deadline.ts';

/**
 * A response's body to its end, for whoever cannot trust its length. Throws what `take` throws, the stream's error, and the deadline's reason.
 * @param take is told the length of each chunk before it is kept, bytes; throws when that is too much
 */
export async function readBody(response: Response, deadline: Deadline, take: (bytes: number) => void): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  const reader = (response.body ?? new Response('').body!).getReader();
  for (let next = await deadline.guard(reader.read()); !next.done; next = await deadline.guard(reader.read())) {
    take(next.value.length);
    chunks.push(next.value);
  }
  return concat(chunks);
}
