/**
 * A model server behind a binding, with nothing else in the network under its name: idle, going by its metrics, and it answers "bound". Plain JavaScript, because the
 * test runner loads auxiliary Workers as they are.
 */
const answer = { id: 'x', object: 'chat.completion', created: 1, choices: [{ index: 0, message: { role: 'assistant', content: 'bound' }, finish_reason: 'stop' }] };

export default {
  fetch(request) {
    const { hostname, pathname } = new URL(request.url);
    if (hostname !== 'bound.internal') return new Response(null, { status: 404 });
    if (pathname === '/v1/chat/completions') return Response.json(answer);
    return new Response('llamacpp:requests_processing 0\nllamacpp:requests_deferred 0\n');
  },
};
