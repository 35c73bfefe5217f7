/** Runs `task` over the items with so many at once, in order of start; the first rejection ends the run. */
export async function inLanes<Item>(
  items: readonly Item[],
  lanes: number,
  task: (item: Item, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      await task(items[index]!, index);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}
