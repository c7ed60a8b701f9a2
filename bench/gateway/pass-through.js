/** The least that a Worker in front of an origin can do. */
export default {
  fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === '/healthz') return new Response('ok');
    return fetch(env.ORIGIN + pathname, request);
  },
};
