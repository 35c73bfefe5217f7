import { useEffect, useRef, useState } from 'preact/hooks';
import { cameraFault, closeCamera, openCamera, photograph } from '../state/camera.js';
import { Dialog } from './dialog.js';
import { Icon } from './icons.js';

type CameraDialogProps = { readonly onPicture: (file: File) => void; readonly onClose: () => void };

/** What the camera sees, and a button that takes it. Nothing leaves the page before; the camera is given back when the dialog closes. */
export function CameraDialog({ onPicture, onClose }: CameraDialogProps) {
  const video = useRef<HTMLVideoElement>(null);
  const [isLive, setIsLive] = useState(false);
  const [fault, setFault] = useState<string>();
  useEffect(() => {
    let stream: MediaStream | undefined;
    let isOver = false;
    openCamera().then(
      (opened) => {
        if (isOver || video.current === null) return closeCamera(opened);
        stream = opened;
        video.current.srcObject = opened;
      },
      (error: unknown) => setFault(cameraFault(error)),
    );
    return () => {
      isOver = true;
      if (stream !== undefined) closeCamera(stream);
    };
  }, []);
  const take = async (): Promise<void> => {
    if (video.current === null) return;
    onPicture(await photograph(video.current));
    onClose();
  };
  return (
    <Dialog title="Camera" onClose={onClose} className="camera-dialog">
      <div class="stack">
        {fault === undefined ? (
          <video ref={video} autoplay muted playsInline aria-label="What the camera sees" onLoadedData={() => setIsLive(true)} />
        ) : (
          <p role="alert">{fault}</p>
        )}
        <div class="row">
          <button type="button" class="button primary" autofocus disabled={!isLive} onClick={() => void take()}>
            <Icon name="camera" size={18} />
            Search with this
          </button>
          <button type="button" class="button" onClick={onClose}>
            Cancel
          </button>
        </div>
      </div>
    </Dialog>
  );
}
