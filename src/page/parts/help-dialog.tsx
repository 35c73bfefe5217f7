import { Dialog } from './dialog.js';

const KEYS: readonly (readonly [string, string])[] = [
  ['/', 'Type an address of a picture'],
  ['Ctrl V', 'Search with the picture in the clipboard'],
  ['← ↑ → ↓', 'Move among the results'],
  ['Enter', 'Look at the picture'],
  ['S', 'Search with it'],
  ['M, L', 'More like it, less like it'],
  ['X', 'Select it'],
  ['Esc', 'Close what lies above'],
  ['?', 'This help'],
];

/** The keys that the page knows, and what the words on it mean. */
export function HelpDialog({ onClose }: { readonly onClose: () => void }) {
  return (
    <Dialog title="Help" onClose={onClose}>
      <div class="stack">
        <dl class="keys">
          {KEYS.map(([key, effect]) => (
            <>
              <dt>
                <kbd>{key}</kbd>
              </dt>
              <dd>{effect}</dd>
            </>
          ))}
        </dl>
        <p class="small soft">
          <strong>Same</strong> is the very picture. <strong>Edited</strong> is a copy of it: scaled, saved anew, a little cropped or
          coloured. <strong>Similar</strong> only looks alike. The number is the cosine similarity of the two embeddings, 1 at most.
        </p>
        <p class="small soft">
          The picture you search with is sent to this service, compared, and not stored there. A copy stays in this browser, so that reload
          and the back button work.
        </p>
      </div>
    </Dialog>
  );
}
