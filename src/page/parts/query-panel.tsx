import { type Example, exampleName, searchFor, withoutExample } from '../state/page-address.js';
import { useService } from '../state/service.js';
import type { Search } from '../state/use-search.js';
import { CropEditor } from './crop-editor.js';
import { ExamplePicture } from './example-picture.js';
import { Icon } from './icons.js';
import { Refine } from './refine.js';
import { WaysIn } from './ways-in.js';

/** What is searched for, always in sight: the picture with its crop box, or the examples for and against; below it what narrows the search. */
export function QueryPanel({ search }: { readonly search: Search }) {
  const { address, navigate } = useService();
  const { like, unlike, crop } = address;
  const only = like.length === 1 ? like[0] : undefined;
  return (
    <aside class="query" aria-label="The search">
      {only !== undefined && (
        <div class="query-picture">
          {only.kind === 'url' ? (
            <ExamplePicture example={only} alt={`The picture at ${only.url}`} />
          ) : (
            <CropEditor
              key={exampleName(only)}
              example={only}
              crop={crop}
              onCrop={(next, isStep) => navigate((now) => ({ ...now, crop: next, open: undefined }), { replace: isStep })}
            />
          )}
          <div class="query-line">
            {only.kind !== 'url' && (
              <p class="small soft">{crop === undefined ? 'Drag to search a part of it.' : 'Searching this part.'}</p>
            )}
            {crop !== undefined && (
              <button type="button" class="button small plain" onClick={() => navigate((now) => ({ ...now, crop: undefined }))}>
                Whole picture
              </button>
            )}
          </div>
        </div>
      )}
      {(only === undefined || unlike.length > 0) && (
        <div class="stack trail">
          {only === undefined && <Trail title="More like" sign="plus" examples={like} />}
          {unlike.length > 0 && <Trail title="Less like" sign="minus" examples={unlike} />}
        </div>
      )}
      <WaysIn isCompact />
      <Refine search={search} />
    </aside>
  );
}

/** The examples on one side, each with a way out of the search and a way to search for it alone. */
function Trail({
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
              aria-label={`Search for ${exampleName(example)} alone`}
              title="Search for this one alone"
              onClick={() => navigate((now) => searchFor(now, example))}
            >
              <ExamplePicture example={example} alt="" />
            </button>
            <button
              type="button"
              class="icon-button example-out"
              aria-label={`Take ${exampleName(example)} out of the search`}
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
