/** Why work is called off whose result another endpoint or route has delivered first: nobody has left. */
export class Superseded extends Error {
  override readonly name = 'Superseded';
}
