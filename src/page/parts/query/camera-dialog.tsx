import { useEffect, useRef, useState } from 'preact/hooks';
import { cameraErrorMessage, closeCamera, openCamera, photograph } from '../../state/query/camera.js';
import { Button } from '../button.js';
import { Dialog } from '../dialog.js';

type CameraDialogProps = { readonly onPicture: (file: File) => void; readonly onClose: () => void };

/** Live camera picture and a button that searches with the current frame. The camera stops when the dialog closes. */
export function CameraDialog({ onPicture, onClose }: CameraDialogProps) {
  const video = useRef<HTMLVideoElement>(null);
  const [isLive, setIsLive] = useState(false);
  const [errorMessage, setErrorMessage] = useState<string>();
  useEffect(() => {
    let stream: MediaStream | undefined;
    let isClosed = false;
    openCamera().then(
      (opened) => {
        if (isClosed || video.current === null) return closeCamera(opened);
        stream = opened;
        video.current.srcObject = opened;
      },
      (error: unknown) => setErrorMessage(cameraErrorMessage(error)),
    );
    return () => {
      isClosed = true;
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
        {errorMessage === undefined ? (
          <video
            ref={video}
            autoplay
            muted
            playsInline
            aria-label="Camera picture"
            onLoadedData={() => setIsLive(true)}
          />
        ) : (
          <p role="alert">{errorMessage}</p>
        )}
        <div class="row">
          <Button look="primary" icon="camera" autofocus disabled={!isLive} onClick={() => void take()}>
            Search with this
          </Button>
          <Button onClick={onClose}>Cancel</Button>
        </div>
      </div>
    </Dialog>
  );
}
