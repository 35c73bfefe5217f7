import { useService } from '../state/service.js';
import { Dialog } from './dialog.js';

const KEYS: readonly (readonly [string, string])[] = [
  ['Ctrl V', 'Search with the picture in the clipboard'],
  ['← ↑ → ↓', 'Move between results'],
  ['Enter', 'Open the picture'],
  ['S', 'Search with it'],
  ['M, L', 'Add as example: more or less like it'],
  ['X', 'Select it'],
  ['Esc', 'Close the dialog, clear the selection'],
  ['?', 'This help'],
];

/** Keyboard shortcuts and terms. */
export function HelpDialog({ onClose }: { readonly onClose: () => void }) {
  const { canFetchUrls } = useService();
  const keys = canFetchUrls === true ? [['/', 'Enter an image URL'] as const, ...KEYS] : KEYS;
  return (
    <Dialog title="Help" onClose={onClose}>
      <div class="stack">
        <dl class="keys">
          {keys.map(([key, effect]) => (
            <>
              <dt>
                <kbd>{key}</kbd>
              </dt>
              <dd>{effect}</dd>
            </>
          ))}
        </dl>
        <p class="small soft">
          <strong>Identical</strong>: the same file or the same pixels. <strong>Edited copy</strong>: resized, re-saved,
          cropped or recoloured. <strong>Similar</strong>: another picture, more alike than 99 of 100 random pairs.{' '}
          <strong>Weaker matches</strong> are no more alike than that. The score is the cosine similarity of the two
          embeddings, at most 1.
        </p>
        <p class="small soft">
          The query picture is sent to this service, compared, and not stored there. A copy stays in this browser, so
          that reload and Back work.
        </p>
      </div>
    </Dialog>
  );
}
