/** docs/benchmarks.md: a section for each benchmark, as it printed it, with command, day and machine. */

/** What a benchmark printed: a heading of level 2, then Markdown. `command`: its name and arguments. */
export type PrintedSection = {
  readonly command: string;
  readonly printed: string;
  readonly machine: string;
  readonly date: Date;
};

/** The document with the section of this command replaced, or added at the end. */
export function withSection(document: string, { command, printed, machine, date }: PrintedSection): string {
  const [heading, ...lines] = printed.trim().split('\n');
  if (heading === undefined || !heading.startsWith('## ')) throw new Error(`${command} printed no heading.`);
  const source = `\`npm run bench -- ${command}\`, ${date.toISOString().slice(0, 10)}, ${machine}.`;
  const section = [heading, '', source, ...lines, ''].join('\n');
  const [head = '', ...sections] = document.split(/^(?=## )/m);
  const at = sections.findIndex((each) => commandOf(each) === command);
  const kept = at < 0 ? [...sections, section] : sections.with(at, section);
  return `${[head, ...kept].map((part) => part.trim()).join('\n\n')}\n`;
}

/** The command that printed a section; undefined for none. */
export function commandOf(section: string): string | undefined {
  return /^`npm run bench -- ([^`]+)`, \d{4}-\d\d-\d\d, /m.exec(section)?.[1];
}
