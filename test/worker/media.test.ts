import { describe, expect, it } from 'vitest';
import { fetching, internet, messagesWith, partsAtOrigin, question } from './image-requests.ts';
import { chatWith, type Environment, endpoint, environment, failure, seenByOrigin, type Variables, withPools } from './support.ts';

const reader = { model: 'reader', endpoints: [endpoint('reader-1', { modalities: ['text', 'audio', 'video', 'file'] })], retries: 0 };
const gateway = (variables: Variables = {}, more: object = {}) =>
  environment({ ...withPools([reader], variables), ...more } as Environment);
const ask = (env: ReturnType<typeof gateway>, id: string, parts: object[]) =>
  chatWith(env, '', { model: 'reader', messages: messagesWith(...parts) }, { headers: { 'x-request-id': id } });

const video = (url: unknown) => ({ type: 'video_url', video_url: { url } });
const film = 'data:video/mp4;base64,AAAAIGZ0eXA=';
const sound = { type: 'input_audio', input_audio: { data: 'UklGRiQAAABXQVZF', format: 'wav' } };

describe('audio, video and files', () => {
  it('go on as they came, to an origin that reads them', async () => {
    const parts = [
      video('https://films.example.com/a.mp4'),
      video(film),
      video('data:video/jpeg;base64,/9j/4AA=,/9j/4AA='),
      { type: 'video_url', video_url: 'https://films.example.com/bare.mp4', fps: 2 },
      { type: 'audio_url', audio_url: { url: 'data:audio/wav;base64,UklGRg==' } },
      sound,
      { type: 'file', file: { file_data: 'data:application/pdf;base64,JVBERi0=', filename: 'a.pdf' } },
      { type: 'file', file: { file_id: 'file-1' } },
      { type: 'input_file', file_url: 'https://films.example.com/a.pdf' },
    ];
    expect((await ask(gateway(), 'media', parts)).status).toBe(200);
    expect(await partsAtOrigin('media')).toEqual([...parts, question]);
  });

  it('are not fetched, where images are', async () => {
    const env = gateway({ NEARSIDE_FETCH_IMAGES: '1' }, { IMAGE_NETWORK: internet });
    const part = video('https://films.example.com/never-fetched/stall');
    expect((await ask(env, 'media-remote', [part])).status).toBe(200);
    expect(await partsAtOrigin('media-remote')).toEqual([part, question]);
    expect(await seenByOrigin('never-fetched')).toBe(null);
  });

  it.each<[string, object, string, RegExp, string]>([
    [
      'a private address',
      video('https://10.0.0.1/a.mp4'),
      'invalid_video_url',
      /^The video at .*not on the public internet/,
      'video_url.url',
    ],
    [
      'a metadata address',
      { type: 'audio_url', audio_url: 'https://[::ffff:169.254.169.254]/' },
      'invalid_audio_url',
      /^The audio/,
      'audio_url',
    ],
    [
      'a name of the network',
      { type: 'file', file: { file_url: 'https://files.internal/a' } },
      'invalid_file_url',
      /^The file/,
      'file.file_url',
    ],
    ['http', video('http://films.example.com/a.mp4'), 'invalid_video_url', /must be an https or data URL/, 'video_url.url'],
    ['a path', video('file:///etc/passwd'), 'invalid_video_url', /must be an https or data URL/, 'video_url.url'],
    [
      'a text part that carries one',
      { type: 'text', text: 'x', video_url: { url: 'https://127.0.0.1/' } },
      'invalid_video_url',
      /public/,
      'video_url.url',
    ],
    [
      'a file of the Responses API',
      { type: 'input_file', file_url: 'https://192.168.0.1/a.pdf' },
      'invalid_file_url',
      /public/,
      'file_url',
    ],
    ['data of another kind', video('data:image/png;base64,iVBORw0='), 'invalid_video', /must be declared as video/, 'video_url.url'],
    [
      'data that is not base64',
      { ...sound, input_audio: { data: 'UklG*', format: 'wav' } },
      'invalid_audio_url',
      /not valid base64/,
      'input_audio.data',
    ],
    [
      'data that is not said to be base64',
      video('data:video/mp4,abc'),
      'invalid_video_url',
      /base64 data URL.*video\/mp4/,
      'video_url.url',
    ],
    [
      'a part with a file and an address beside it',
      { type: 'input_file', file: { file_id: 'file-1' }, file_url: 'https://169.254.169.254/' },
      'invalid_file_url',
      /public/,
      'file_url',
    ],
    [
      'an address where data is meant',
      { type: 'file', file: { file_data: 'https://10.0.0.1/a.pdf' } },
      'invalid_file_url',
      /public/,
      'file.file_data',
    ],
    [
      'an address that others read in another way',
      video('https://example.com\\@169.254.169.254/'),
      'invalid_video_url',
      /backslash/,
      'video_url.url',
    ],
    [
      'pictures without end',
      video(`data:video/jpeg;base64,${','.repeat(5000)}`),
      'invalid_video',
      /more than 1024 pictures/,
      'video_url.url',
    ],
    ['nothing', { type: 'video_url' }, 'invalid_video_url', /is missing/, 'video_url'],
    ['an object without an address', { type: 'video_url', video_url: {} }, 'invalid_video_url', /is missing/, 'video_url'],
    ['a number', { type: 'input_audio', input_audio: 7 }, 'invalid_audio_url', /is missing/, 'input_audio'],
  ])('are refused before any origin sees them: %s', async (name, part, code, message, place) => {
    const id = `media-${name.replaceAll(' ', '-')}`;
    const error = await failure(await ask(gateway(), id, [question, part]));
    expect(error).toMatchObject({ status: 400, code, type: 'invalid_request_error', param: `messages[1].content[1].${place}` });
    expect(error.message).toMatch(message);
    expect(await seenByOrigin(id)).toBe(null);
  });

  it('are limited in size, each, and in number, together', async () => {
    const small = gateway({ NEARSIDE_MEDIA_MAX_BYTES: '8' });
    expect((await ask(small, 'media-8-bytes', [video(film)])).status).toBe(200);
    const tooSmall = gateway({ NEARSIDE_MEDIA_MAX_BYTES: '7' });
    for (const part of [
      video(film),
      { type: 'file', file: { file_data: 'A'.repeat(400) } },
      { type: 'file', file: { file_data: 'A'.repeat(12) } },
    ]) {
      expect(await failure(await ask(tooSmall, 'media-large', [part]))).toMatchObject({ status: 413, type: 'invalid_request_error' });
    }
    // Pictures in a row are one video.
    const pictures = video('data:video/jpeg;base64,/9j/4AA=,/9j/4AA=,/9j/4AA=');
    expect(await failure(await ask(tooSmall, 'media-pictures', [pictures]))).toMatchObject({ status: 413, code: 'video_too_large' });
    expect(await seenByOrigin('media-large')).toBe(null);
    const few = gateway({ NEARSIDE_MEDIA_MAX_COUNT: '2' });
    expect((await ask(few, 'media-two', [sound, video(film)])).status).toBe(200);
    expect(await failure(await ask(few, 'media-three', [sound, video(film), sound]))).toMatchObject({
      status: 400,
      code: 'too_many_media',
      param: 'messages[1].content[2].input_audio.data',
    });
  });

  it('that nobody reads are refused as that, and not looked at', async () => {
    const error = await failure(await chatWith(fetching(), '', { model: 'sight', messages: messagesWith(video('https://10.0.0.1/')) }));
    expect(error).toMatchObject({ status: 400, code: 'unsupported_modality' });
  });
});
