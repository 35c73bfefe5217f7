/** The camera: which way to it this device has, and a picture out of it. */

/**
 * `field`: a file field that opens the device's own camera, as phones and tablets do, over plain http too. `live`: a camera that the page shows itself, where the
 * browser gives one (https and loopback only). Undefined: no way, so none is offered.
 */
export function wayToCamera(): 'field' | 'live' | undefined {
  if (matchMedia('(pointer: coarse)').matches) return 'field';
  return navigator.mediaDevices === undefined ? undefined : 'live';
}

/** The camera that looks away from the person, or the only one. Rejects with what the browser says: refused, none there, in use elsewhere. */
export function openCamera(): Promise<MediaStream> {
  return navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment', width: { ideal: 1920 }, height: { ideal: 1080 } } });
}

/** Gives the camera back; its light goes out. */
export function closeCamera(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}

/** What the video shows now, as a JPEG file at the camera's own size. */
export async function photograph(video: HTMLVideoElement): Promise<File> {
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext('2d')?.drawImage(video, 0, 0);
  const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.92 });
  return new File([blob], 'camera.jpg', { type: 'image/jpeg' });
}

/** Why there is no camera, in words. */
export function cameraFault(error: unknown): string {
  const name = error instanceof DOMException ? error.name : '';
  if (name === 'NotAllowedError') return 'This page may not use the camera. Allow it in the browser, beside the address.';
  if (name === 'NotFoundError' || name === 'OverconstrainedError') return 'There is no camera at this device.';
  if (name === 'NotReadableError') return 'Another program uses the camera. Close it there, then try again.';
  return 'The camera does not answer. Drop or paste a picture instead.';
}
