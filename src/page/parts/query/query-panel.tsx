import { type Example, exampleName, searchFor, withoutExample } from '../../state/query/page-address.js';
import { useService } from '../../state/service.js';
import type { Search } from '../../state/use-search.js';
import { Button } from '../button.js';
import { Icon } from '../icons.js';
import { CropEditor } from './crop-editor.js';
import { ExamplePicture } from './example-picture.js';
import { QueryInputs } from './query-inputs.js';
import { Refine } from './refine.js';

/** The query, always visible: the picture with its crop box or the examples, and the search options. */
export function QueryPanel({ search }: { readonly search: Search }) {
  const { address, navigate } = useService();
  const { like, unlike, crop } = address;
  const only = like.length === 1 ? like[0] : undefined;
  return (
    <aside class="query" aria-label="Query">
      {only !== undefined && (
        <div class="query-picture">
          {only.kind === 'url' ? (
            <ExamplePicture example={only} alt={`The picture at ${only.url}`} />
          ) : (
            <CropEditor
              key={exampleName(only)}
              example={only}
              crop={crop}
              onCrop={(next, isStep) =>
                navigate((now) => ({ ...now, crop: next, open: undefined }), { replace: isStep })
              }
            />
          )}
          <div class="query-line">
            {only.kind !== 'url' && (
              <p class="small soft">
                {crop === undefined ? 'Drag to search for a part of it.' : 'Searching for this part.'}
              </p>
            )}
            {crop !== undefined && (
              <Button look="small plain" onClick={() => navigate((now) => ({ ...now, crop: undefined }))}>
                Whole picture
              </Button>
            )}
          </div>
        </div>
      )}
      {(only === undefined || unlike.length > 0) && (
        <div class="stack">
          {only === undefined && <ExampleList title="More like" sign="plus" examples={like} />}
          {unlike.length > 0 && <ExampleList title="Less like" sign="minus" examples={unlike} />}
        </div>
      )}
      <QueryInputs isCompact />
      <Refine search={search} />
    </aside>
  );
}

/** Positive or negative examples, each with buttons to remove it and to search for it alone. */
function ExampleList({
  title,
  sign,
  examples,
}: {
  readonly title: string;
  readonly sign: 'plus' | 'minus';
  readonly examples: readonly Example[];
}) {
  const { navigate } = useService();
  return (
    <section>
      <h3 class="row">
        <Icon name={sign} size={16} />
        {title}
      </h3>
      <ul class="examples">
        {examples.map((example) => (
          <li key={`${example.kind} ${exampleName(example)}`}>
            <button
              type="button"
              class="example"
              aria-label={`Search for ${exampleName(example)} only`}
              title="Search for this picture only"
              onClick={() => navigate((now) => searchFor(now, example))}
            >
              <ExamplePicture example={example} alt="" />
            </button>
            <button
              type="button"
              class="icon-button example-out"
              aria-label={`Remove ${exampleName(example)} from the search`}
              onClick={() => navigate((now) => withoutExample(now, example))}
            >
              <Icon name="close" size={14} />
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
