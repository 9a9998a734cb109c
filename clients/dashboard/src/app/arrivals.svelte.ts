// Says that something new has come onto a live list, not what was there when it was opened.
import { announce } from "./announce.svelte";

/** To be called while a component is set up. `list` is read in an effect. */
export function announceNew(list: () => { fresh: boolean; items: readonly { id: string }[] }, text: () => string): void {
  let known: ReadonlySet<string> | undefined;
  $effect(() => {
    const { fresh, items } = list();
    if (!fresh) return;
    const ids = new Set(items.map(({ id }) => id));
    if (known && [...ids].some((id) => !known!.has(id))) announce(text());
    known = ids;
  });
}
