/** What a part of a prompt may be besides text and images. */
export type MediaKind = 'audio' | 'video' | 'file';

/** What a part is, by its type or by the name of what it carries. */
export const modalityOf: ReadonlyMap<string, 'text' | 'image' | MediaKind> = new Map(
  Object.entries({
    text: 'text',
    refusal: 'text',
    image_url: 'image',
    input_image: 'image',
    input_audio: 'audio',
    audio_url: 'audio',
    video_url: 'video',
    input_video: 'video',
    file: 'file',
    input_file: 'file',
  } as const),
);

/** What a part is that goes by this name, if neither text nor an image. */
export function mediaOf(name: string): MediaKind | null {
  const modality = modalityOf.get(name);
  return modality === undefined || modality === 'text' || modality === 'image' ? null : modality;
}
