/** Above this a picture is scaled down before it is sent: the service's limit is 10 MiB unless it was set otherwise. */
const MOST_BYTES = 9_500_000;
/** Longest side of what is drawn anew; more than any encoder looks at. */
const LONGEST_SIDE = 4096;

/**
 * A picture file as the service can read it. What it takes is left as it is, byte for byte, so that the same file is found as the same. A
 * phone's HEIC, or a file too large, is drawn anew as JPEG where the browser can read it; where not it is sent as it is, and the service says why.
 */
export async function preparePicture(file: File): Promise<File> {
  const isHeic = /^image\/hei[cf]/.test(file.type) || /\.hei[cf]$/i.test(file.name);
  if (!isHeic && file.size <= MOST_BYTES) return file;
  try {
    const picture = await createImageBitmap(file, { imageOrientation: 'from-image' });
    const scale = Math.min(1, LONGEST_SIDE / Math.max(picture.width, picture.height));
    const canvas = new OffscreenCanvas(Math.round(picture.width * scale), Math.round(picture.height * scale));
    canvas.getContext('2d')?.drawImage(picture, 0, 0, canvas.width, canvas.height);
    picture.close();
    const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.92 });
    return new File([blob], file.name.replace(/\.\w+$/, '.jpg'), { type: 'image/jpeg' });
  } catch {
    return file; // The browser cannot read it either; the service's refusal names the remedy.
  }
}
