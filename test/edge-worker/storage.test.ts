import { env } from 'cloudflare:test';
import { AssetsStorage } from '../../worker/edge/assets-storage.ts';
import { R2Storage } from '../../worker/edge/r2-storage.ts';
import { behavesAsPackStorage } from '../support/pack-storage.ts';

const PREFIX = 'some/pack';

behavesAsPackStorage('R2Storage', async (files) => {
  const old = await env.MODELS.list({ prefix: PREFIX });
  await env.MODELS.delete(old.objects.map(({ key }) => key));
  for (const [name, bytes] of Object.entries(files)) await env.MODELS.put(`${PREFIX}/${name}`, bytes);
  return new R2Storage(env.MODELS, PREFIX);
});

behavesAsPackStorage('AssetsStorage', async (files) => {
  const fetcher = {
    async fetch(url: string) {
      const bytes = files[new URL(url).pathname.replace(`/${PREFIX}/`, '')];
      return bytes ? new Response(bytes) : new Response('Not found', { status: 404 });
    },
  };
  return new AssetsStorage(fetcher, PREFIX);
});
