/** Access to the device's camera. */

/**
 * `field`: a file input opens the camera app (phones and tablets, also over plain http). `live`: the page shows the
 * camera itself (https and loopback only). Undefined: no camera can be used.
 */
export function cameraMethod(): 'field' | 'live' | undefined {
  if (isTouchScreen()) return 'field';
  return navigator.mediaDevices === undefined ? undefined : 'live';
}

/** True on phones and tablets, where nothing can be dropped. */
export function isTouchScreen(): boolean {
  return matchMedia('(pointer: coarse)').matches;
}

/** Opens the rear camera, or the only one. Rejects with the browser's DOMException. */
export function openCamera(): Promise<MediaStream> {
  return navigator.mediaDevices.getUserMedia({
    video: { facingMode: 'environment', width: { ideal: 1920 }, height: { ideal: 1080 } },
  });
}

/** Stops the camera. */
export function closeCamera(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}

/** The current frame as a JPEG file at the camera's resolution. */
export async function photograph(video: HTMLVideoElement): Promise<File> {
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext('2d')?.drawImage(video, 0, 0);
  const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.92 });
  return new File([blob], 'camera.jpg', { type: 'image/jpeg' });
}

/** The message for an error of {@link openCamera}. */
export function cameraErrorMessage(error: unknown): string {
  const name = error instanceof DOMException ? error.name : '';
  if (name === 'NotAllowedError')
    return 'This page may not use the camera. Allow it in the address bar of the browser.';
  if (name === 'NotFoundError' || name === 'OverconstrainedError') return 'This device has no camera.';
  if (name === 'NotReadableError') return 'Another program is using the camera. Close it, then try again.';
  return 'The camera cannot be opened. Drop or paste a picture instead.';
}
