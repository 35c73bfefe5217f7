/** Larger files are re-encoded: the service's default limit is 10 MiB. */
const BYTES_MAX = 9_500_000;
/** Longest side after re-encoding; more than any encoder uses. */
const SIDE_MAX_PX = 4096;

/**
 * A picture file that the service accepts. Supported files stay byte for byte, so that identical files are recognised.
 * HEIC and too large files are re-encoded as JPEG where the browser can decode them; otherwise they are sent unchanged
 * and the service reports why it refuses.
 */
export async function preparePicture(file: File): Promise<File> {
  const isHeic = /^image\/hei[cf]/.test(file.type) || /\.hei[cf]$/i.test(file.name);
  if (!isHeic && file.size <= BYTES_MAX) return file;
  try {
    const picture = await createImageBitmap(file, { imageOrientation: 'from-image' });
    const scale = Math.min(1, SIDE_MAX_PX / Math.max(picture.width, picture.height));
    const canvas = new OffscreenCanvas(Math.round(picture.width * scale), Math.round(picture.height * scale));
    canvas.getContext('2d')?.drawImage(picture, 0, 0, canvas.width, canvas.height);
    picture.close();
    const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.92 });
    return new File([blob], file.name.replace(/\.\w+$/, '.jpg'), { type: 'image/jpeg' });
  } catch {
    return file; // The browser cannot decode it either; the service's error names the remedy.
  }
}
