import type { ImageType } from '../../../../worker/origin/images/formats.ts';

/** Images of 37 x 21 pixels as Pillow 13 writes them: media type and base64. */
export const files: Record<string, [type: ImageType, base64: string]> = {
  png: [
    'image/png',
    'iVBORw0KGgoAAAANSUhEUgAAACUAAAAVCAIAAABOhrD5AAAAJ0lEQVR42mM8IWfDQEfAxEBfMGrfqH2j9o3aN2rfqH2j9o3aRykAADFtAUwqYJgIAAAAAElFTkSuQmCC',
  ],
  gif: [
    'image/gif',
    'R0lGODdhJQAVAIEAAMgePAAAAAAAAAAAACwAAAAAJQAVAEAILwABCBxIsKDBgwgTKlzIsKHDhxAjSpxIsaLFixgzatzIsaPHjyBDihxJsqRJkgEBADs=',
  ],
  'animated gif': [
    'image/gif',
    'R0lGODlhJQAVAIEAAMgePAAAAAAAAAAAACH/C05FVFNDQVBFMi4wAwEAAAAh/gJoaQAh+QQABQAAACwAAAAAJQAVAAAILwABCBxIsKDBgwgTKlzIsKHDhxAjSpxIsaLFixgzatzIsaPHjyBDihxJsqRJkgEBACH5BAEFAAEALAAAAAAlABUAgQECAwAAAAAAAAAAAAgvAAEIHEiwoMGDCBMqXMiwocOHECNKnEixosWLGDNq3Mixo8ePIEOKHEmypEmSAQEAOw==',
  ],
  jpeg: [
    'image/jpeg',
    '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQc1tdhbWGkJ6jq62rZ4C8ybqmx5moq6T/2wBDARweHigjKE4rK06kbl1upKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKT/wAARCAAVACUDASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAT/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/8QAFgEBAQEAAAAAAAAAAAAAAAAAAAMF/8QAFBEBAAAAAAAAAAAAAAAAAAAAAP/aAAwDAQACEQMRAD8AiATbAAAAAAAAAAD/2Q==',
  ],
  'progressive jpeg with a comment': [
    'image/jpeg',
    '/9j/4AAQSkZJRgABAQAAAQABAAD//gAWeHh4eHh4eHh4eHh4eHh4eHh4eHj/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQc1tdhbWGkJ6jq62rZ4C8ybqmx5moq6T/2wBDARweHigjKE4rK06kbl1upKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKT/wgARCAAVACUDASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAP/xAAWAQEBAQAAAAAAAAAAAAAAAAAAAgT/2gAMAwEAAhADEAAAAYCdgAAAAH//xAAUEAEAAAAAAAAAAAAAAAAAAAAw/9oACAEBAAEFAn//xAAUEQEAAAAAAAAAAAAAAAAAAAAg/9oACAEDAQE/AV//xAAUEQEAAAAAAAAAAAAAAAAAAAAg/9oACAECAQE/AV//xAAUEAEAAAAAAAAAAAAAAAAAAAAw/9oACAEBAAY/An//xAAUEAEAAAAAAAAAAAAAAAAAAAAw/9oACAEBAAE/IX//2gAMAwEAAgADAAAAEPPPPPPP/8QAFBEBAAAAAAAAAAAAAAAAAAAAIP/aAAgBAwEBPxBf/8QAFBEBAAAAAAAAAAAAAAAAAAAAIP/aAAgBAgEBPxBf/8QAFBABAAAAAAAAAAAAAAAAAAAAMP/aAAgBAQABPxB//9k=',
  ],
  'lossy webp': ['image/webp', 'UklGRkAAAABXRUJQVlA4IDQAAAAwAwCdASolABUAP3G202G0ryqmJWgCkC4JZwDOOA8KmggAAP7eEaWD+KHmt7B1NmRNW1gA'],
  'lossless webp': ['image/webp', 'UklGRh4AAABXRUJQVlA4TBEAAAAvJAAFAAdQjyKXp/+BiOh/AAA='],
  'extended webp': [
    'image/webp',
    'UklGRmQAAABXRUJQVlA4WAoAAAAQAAAAJAAAFAAAQUxQSAoAAAABB1CtiAhERP8DVlA4IDQAAAAwAwCdASolABUAP3G202G0ryqmJWgCkC4JZwDOOA8KmggAAP7eEaWD+KHmt7B1NmRNW1gA',
  ],
};

export const bytesOf = (name: string): Uint8Array => Uint8Array.fromBase64(files[name]![1]);

export const dataUrlOf = (name: string, type: string = files[name]![0]): string => `data:${type};base64,${files[name]![1]}`;

/** The same file with other bytes at some places. */
export function changed(name: string, changes: Record<number, number[]>): Uint8Array {
  const bytes = bytesOf(name);
  for (const [at, values] of Object.entries(changes)) bytes.set(values, Number(at));
  return bytes;
}
