/**
 * Everything that an origin may do wrong, and a few things that only look wrong. One endpoint, without retries, has this outcome for a client:
 *
 *   complete        the whole answer
 *   STATUS CODE     an error before anything was sent
 *   event CODE      an error event after the first token, and no [DONE]
 *
 * With somebody else to ask, every STATUS of 5xx and 429 becomes `complete`. `scripts` are those of test/support/fault-origin.ts.
 */
export interface Fault {
  name: string;
  stream?: [script: string, outcome: string];
  whole?: [script: string, outcome: string];
}

const answer = '{"choices":[{"index":0,"message":{"role":"assistant","content":"t0 t1 "},"finish_reason":"stop"}]}';
const event = (text: string) => `data: {"choices":[{"index":0,"delta":{"content":"${text}"},"finish_reason":null}]}`;
const finish = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}';
const head = (status: string, more = '') => `socket HTTP/1.1 ${status}\\r\\nconnection: close\\r\\n${more}\\r\\n`;
const both = (name: string, script: string, outcome: string): Fault => ({ name, stream: [script, outcome], whole: [script, outcome] });
const stream = (name: string, script: string, outcome: string): Fault => ({ name, stream: [script, outcome] });
const whole = (name: string, script: string, outcome: string): Fault => ({ name, whole: [script, outcome] });

export const faults: Fault[] = [
  // The connection
  both('nobody listens', 'refuse', '503 origin_unavailable'),
  both('closed before an answer', 'hangup', '503 origin_unavailable'),
  both('reset before an answer', 'reset', '503 origin_unavailable'),
  both('an answer that is not HTTP', 'socket NONSENSE\\r\\n\\r\\n; hangup', '503 origin_unavailable'),
  both('half a head', 'socket HTTP/1.1 200 OK\\r\\ncontent-ty; hangup', '503 origin_unavailable'),
  {
    name: 'reset after the head',
    stream: ['head; reset', '502 origin_stream_broken'],
    whole: ['type application/json; reset', '502 origin_stream_broken'],
  },
  stream('cut after the head', 'head; cut', '502 origin_stream_broken'),
  stream('cut after the role', 'role; cut', '502 origin_stream_broken'),
  { name: 'cut half-way', stream: ['tokens 2; cut', 'event origin_stream_broken'], whole: ['cut', '502 origin_stream_broken'] },
  {
    name: 'reset half-way',
    stream: ['tokens 2; reset', 'event origin_stream_broken'],
    whole: ['type application/json; write {"choices":; reset', '502 origin_stream_broken'],
  },
  stream('cut in the middle of an event', 'tokens 2; half; cut', 'event origin_stream_broken'),
  stream('ended in the middle of an event', 'tokens 2; half', 'event origin_stream_broken'),
  {
    name: 'cut in the middle of a character',
    stream: ['tokens 1; write data: {"choices":[{"index":0,"delta":{"content":"\\xe2\\x82; cut', 'event origin_stream_broken'],
    whole: ['type application/json; write {"choices":[{"message":{"content":"\\xe2\\x82; end', '502 origin_bad_response'],
  },
  // Silence
  both('silence from the beginning', 'stall', '504 origin_timeout'),
  {
    name: 'silence after the head',
    stream: ['head; stall', '504 origin_timeout'],
    whole: ['type application/json; stall', '504 origin_timeout'],
  },
  stream('silence after the role', 'role; stall', '504 origin_timeout'),
  {
    name: 'silence half-way',
    stream: ['tokens 2; stall', 'event origin_timeout'],
    whole: ['type application/json; write {"ch; stall', '504 origin_timeout'],
  },
  stream('silence after the finish', 'tokens 2; finish; stall', 'event origin_timeout'),
  stream('comments and nothing else', 'comment 500 40', '504 origin_timeout'),
  stream('roles and nothing else', 'role; wait 200; role; wait 200; role; wait 200; role; stall', '504 origin_timeout'),
  {
    name: 'one byte at a time',
    stream: [`drip 20 ${event('slow')}`, '504 origin_timeout'],
    whole: [`type application/json; drip 20 ${answer}`, '504 origin_timeout'],
  },
  stream('tokens without end', 'tokens 500 40', 'event origin_timeout'),
  both('a head without end', 'flood', '504 origin_timeout'),
  {
    name: 'an error body without end',
    stream: [`${head('500 X', 'content-type: application/json\\r\\n')}; stall`, '502 origin_error'],
    whole: [`${head('500 X', 'content-type: application/json\\r\\n')}; stall`, '502 origin_error'],
  },
  stream('a connection that stays open after [DONE]', 'tokens 2; finish; done; stall', 'complete'),
  // Statuses
  both('500', 'status 500', '502 origin_error'),
  both('502', 'status 502', '502 origin_error'),
  both('503', 'status 503', '503 origin_unavailable'),
  both('504', 'status 504', '504 origin_timeout'),
  both('529, which is nobody’s', 'status 529', '502 origin_error'),
  both('408', 'status 408', '504 origin_timeout'),
  both('429 without a pause', 'status 429 x=y', '429 origin_rate_limited'),
  both('429 with a pause in seconds', 'status 429 retry-after=30', '429 origin_rate_limited'),
  both('429 with a date', 'status 429 retry-after=Fri,_20_Nov_2099_10:00:30_GMT', '429 origin_rate_limited'),
  both('429 with milliseconds', 'status 429 retry-after-ms=30000', '429 origin_rate_limited'),
  both('429 with a pause that is nonsense', 'status 429 retry-after=soon', '429 origin_rate_limited'),
  both('401', 'status 401', '502 origin_auth_failed'),
  both('403', 'status 403', '502 origin_auth_failed'),
  both('404', 'status 404', '502 origin_error'),
  both('400: the request is at fault', 'status 400', '400 scripted'),
  both('413: the request is at fault', 'status 413', '413 scripted'),
  both('422: the request is at fault', 'status 422', '422 scripted'),
  both('a redirect', 'status 302', '502 origin_error'),
  both('a redirect that keeps the method', 'status 307', '502 origin_error'),
  both('204, nothing', head('204 No Content'), '502 origin_bad_response'),
  {
    name: 'a good body under a bad status',
    stream: [
      `${head('500 X', 'content-type: text/event-stream\\r\\n')}${event('t0')}\\n\\n${finish}\\n\\ndata: [DONE]\\n\\n; hangup`,
      '502 origin_error',
    ],
    whole: [`${head('500 X', 'content-type: application/json\\r\\n')}${answer}; hangup`, '502 origin_error'],
  },
  // A status of 200 that does not mean it
  both('a page', 'html', '502 origin_bad_response'),
  {
    name: 'an empty body',
    stream: ['head; end', '502 origin_stream_broken'],
    whole: ['type application/json; end', '502 origin_bad_response'],
  },
  both('an error object', 'type application/json; write {"error":{"message":"No.","code":"no"}}; end', '502 no'),
  both(
    'an error object that blames the request',
    'type application/json; write {"error":{"message":"No.","code":400}}; end',
    '400 invalid_request',
  ),
  stream('a whole answer for a stream', 'whole', '502 origin_bad_response'),
  whole('a stream for a whole answer', 'tokens 2; finish; done', '502 origin_bad_response'),
  whole('JSON that is no answer', 'type application/json; write {"object":"list","data":[]}; end', '502 origin_bad_response'),
  whole('JSON and more', `type application/json; write ${answer}{}; end`, '502 origin_bad_response'),
  whole(
    'text that is not UTF-8',
    'type application/json; write {"choices":[{"message":{"content":"\\xff\\xfe"}}]}; end',
    '502 origin_bad_response',
  ),
  both('gzip that is none', `type text/event-stream content-encoding=gzip; tokens 2; finish; done`, '502 origin_stream_broken'),
  // Lengths
  {
    name: 'more promised than sent',
    stream: [
      `${head('200 OK', 'content-type: text/event-stream\\r\\ncontent-length: 9999\\r\\n')}${event('t0')}\\n\\n; hangup`,
      'event origin_stream_broken',
    ],
    whole: [
      `${head('200 OK', 'content-type: application/json\\r\\ncontent-length: 9999\\r\\n')}${answer}; hangup`,
      '502 origin_stream_broken',
    ],
  },
  {
    name: 'less promised than sent',
    stream: [
      `${head('200 OK', 'content-type: text/event-stream\\r\\ncontent-length: 90\\r\\n')}${event('t0')}\\n\\n${event('t1')}\\n\\n; hangup`,
      'event origin_stream_broken',
    ],
    whole: [
      `${head('200 OK', 'content-type: application/json\\r\\ncontent-length: 30\\r\\n')}${answer}; hangup`,
      '502 origin_bad_response',
    ],
  },
  {
    name: 'a chunk longer than it is',
    stream: [
      `${head('200 OK', 'content-type: text/event-stream\\r\\ntransfer-encoding: chunked\\r\\n')}ffff\\r\\n${event('t0')}\\n\\n; hangup`,
      'event origin_stream_broken',
    ],
    whole: [
      `${head('200 OK', 'content-type: application/json\\r\\ntransfer-encoding: chunked\\r\\n')}ffff\\r\\n${answer}; hangup`,
      '502 origin_stream_broken',
    ],
  },
  stream('an event without end', 'giant 9000000', '502 origin_bad_response'),
  // The protocol inside the stream
  stream('an error event first', 'error; done', '502 scripted'),
  stream('an error event after the role', 'role; error; done', '502 scripted'),
  stream('an error event half-way', 'tokens 1; error; done', 'event scripted'),
  stream('an event that is not JSON', 'write data: nonsense\\n\\n; tokens 2; finish; done', '502 origin_bad_response'),
  stream('an event that is not JSON, half-way', 'tokens 1; write data: nonsense\\n\\n; finish; done', 'event origin_bad_response'),
  stream('null for an event', 'raw null; tokens 2; finish; done', '502 origin_bad_response'),
  stream('no finish and no [DONE]', 'tokens 2', 'event origin_stream_broken'),
  stream('[DONE] without a finish', 'tokens 2; done', 'event origin_stream_broken'),
  stream('[DONE] and nothing else', 'done', '502 origin_stream_broken'),
  stream('a finish without [DONE]', 'tokens 2; finish', 'complete'),
  stream('[DONE] without a line end', 'tokens 2; finish; write data: [DONE]', 'complete'),
  stream('a second finish', 'tokens 2; finish; finish; done', 'complete'),
  stream('more after [DONE]', 'tokens 2; finish; done; tokens 2; finish; done', 'complete'),
  // What only looks wrong
  stream(
    'CRLF line ends',
    `write ${event('t0')}\\r\\n\\r\\n${event('t1')}\\r\\n\\r\\n${finish}\\r\\n\\r\\ndata: [DONE]\\r\\n\\r\\n`,
    'complete',
  ),
  stream('all events in one piece', `write ${event('t0')}\\n\\n${event('t1')}\\n\\n${finish}\\n\\ndata: [DONE]\\n\\n`, 'complete'),
  stream('events in many pieces', `drip 1 ${event('t0')}\\n\\n; finish; done`, 'complete'),
  stream('characters in many pieces', `tokens 1; drip 1 ${event('\\xc3\\xa9\\xe2\\x82\\xac')}\\n\\n; finish; done`, 'complete'),
  stream('fields that are unknown, and comments', 'write id: 1\\nretry: 5\\n\\n: hi\\n\\n; tokens 2; finish; done', 'complete'),
  stream('gzip that is some', 'gzipped', 'complete'),
];
