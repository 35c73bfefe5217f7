/** Writes an adapted encoder as a folder for `serve`: program, manifest, model card. */
import { EMBEDDING_OUTPUT, type SavedEncoder, writeSavedEncoder } from '../../encoder/saved-encoder.js';
import type { AdaptFit, ViewSearch } from './adapt.js';
import { adaptedProgram, FEATURES_OUTPUT, featureMap } from './adapt-graph.js';
import { describeTap } from './backbone.js';

/** Saves a fit in the folder `out`. An existing folder is INVALID_SETTINGS. */
export async function saveAdapted(options: {
  readonly fit: AdaptFit;
  readonly out: string;
  readonly name: string;
  readonly data: string;
  readonly licence: string;
  readonly command: string;
}): Promise<SavedEncoder> {
  const { fit, out, name, data, licence, command } = options;
  const { backbone, taps, joined, views, dimensions, ridge, found } = fit;
  const { manifest } = backbone.encoder;
  const map = featureMap(taps);
  const also = joined?.also.encoder.manifest;
  const { correlationPower, frameProbability, seed } = fit.options;
  return writeSavedEncoder({
    folder: out,
    onnx: adaptedProgram(fit),
    card: cardOf({ name, fit, data, licence, command }),
    manifest: {
      name,
      dimensions,
      preprocessing: manifest.preprocessing,
      outputs: {
        embedding: EMBEDDING_OUTPUT,
        ...(map !== undefined && {
          features: { name: FEATURES_OUTPUT, channels: map.channels, grid: { width: map.width, height: map.height } },
        }),
      },
      training: {
        method: 'adapted backbone',
        data,
        images: fit.images,
        backbone: manifest.name,
        backboneId: manifest.id,
        taps: taps.map(({ tap, pools }) => `${tap.name}: ${pools.join(', ')}`).join('; '),
        ...{ views, ridge, correlationPower, frameProbability, seed },
        ...(also !== undefined && { also: also.name, alsoId: also.id, alsoWeight: joined!.weight }),
        viewsFound: found.joined ?? found.learnt,
        viewsFoundByBackbone: found.backbone,
        command,
      },
      dataLicence: [
        licence,
        `Backbone ${manifest.name}: ${manifest.dataLicence}`,
        ...(also === undefined ? [] : [`${also.name}: ${also.dataLicence}`]),
      ].join(' '),
      created: new Date().toISOString(),
    },
  });
}

/** The search for views in one table, Markdown; without labels. */
export function viewSearchMarkdown({ backbone, joined, found }: AdaptFit): string {
  const rows = viewSearchRows(found, backbone.encoder.manifest.name, joined?.also.encoder.manifest.name);
  return `${found.queries} random views (crop, light, colour, frame) of held-out pictures, each searched among ${found.pictures} pictures; nothing was fitted to these. Per cent whose own picture is the nearest:

| embedding | views found |
| --- | ---: |
${rows.map(([name, share]) => `| ${name} | ${(100 * share).toFixed(1)} |`).join('\n')}
`;
}

function viewSearchRows(found: ViewSearch, backbone: string, also: string | undefined): readonly [string, number][] {
  return [
    [`${backbone}, as it comes`, found.backbone],
    ['learnt on top of it', found.learnt],
    ...(found.also === undefined ? [] : [[`${also}, as it comes`, found.also] as [string, number]]),
    ...(found.joined === undefined ? [] : [['both joined', found.joined] as [string, number]]),
  ];
}

/** Whether learning was worth it, in one sentence: by views of held-out pictures, which need no labels. */
export function verdictOf({ found, backbone, images }: AdaptFit): string {
  const { queries } = found;
  const learnt = found.joined ?? found.learnt;
  const error = Math.sqrt((learnt * (1 - learnt) + found.backbone * (1 - found.backbone)) / queries);
  const gain = 100 * (learnt - found.backbone);
  const figures = `${(100 * learnt).toFixed(1)} % of the views find their picture, ${(100 * found.backbone).toFixed(1)} % with ${backbone.encoder.manifest.name} as it comes`;
  if (learnt - found.backbone > 2 * error) return `Worth it: learnt from ${images} pictures, ${figures}.`;
  if (gain > 0) return `Hardly worth it: learnt from ${images} pictures, ${figures}; the difference may be chance.`;
  return `Not worth it: learnt from ${images} pictures, ${figures}. Serve the backbone, or give more pictures.`;
}

function cardOf(facts: {
  readonly name: string;
  readonly fit: AdaptFit;
  readonly data: string;
  readonly licence: string;
  readonly command: string;
}): string {
  const { name, fit, data, licence, command } = facts;
  const { backbone, taps, joined, views, dimensions, ridge, images, correlations } = fit;
  const { manifest } = backbone.encoder;
  const { width, height, fit: framing } = manifest.preprocessing;
  const also = joined?.also.encoder.manifest;
  const list = taps.map(({ tap, pools }) => `- \`${describeTap(tap)}\`: ${pools.join(', ')}`).join('\n');
  return `# ${name}

\`${manifest.name}\` adapted to unlabelled pictures, without gradients: ${dimensions} dimensions, L2-normalised, of ${width}x${height} RGB pixels (\`fit: ${framing}\`).
The backbone is frozen. Its values at the places below are pooled, scaled to norm 1 and joined, then projected by an eigenproblem to what a
picture shares with ${views} random views of itself (crop, light, colour, frame).${also === undefined ? '' : ` \`${also.name}\` on the same pixels is joined at ${joined!.weight} of its length, and the principal axes of both are kept.`}

${list}

- **Data**: ${data}, ${images} images, labels unused. Licence of the data: ${licence}
- **Backbone**: \`${manifest.name}\` (id ${manifest.id.slice(0, 12)}…). Its licence: ${manifest.dataLicence}
${also === undefined ? '' : `- **Joined**: \`${also.name}\` (id ${also.id.slice(0, 12)}…). Its licence: ${also.dataLicence}\n`}- **Made by**: \`${command}\`
- **Settings**: ridge ${ridge} x the mean variance, chosen by views of held-out pictures; the others are in encoder.json.
- **Views**: correlation of a picture with its views ${correlations[0]!.toPrecision(3)} ... ${correlations.at(-1)!.toPrecision(3)} (first to last dimension).

## Without labels

${viewSearchMarkdown(fit)}
${verdictOf(fit)}
`;
}
