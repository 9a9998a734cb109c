// Where the keyboard goes when what had the focus is gone.
import { tick } from "svelte";

/** To what follows in its place, or to the page: not to nowhere. */
export async function keepFocus(next?: () => HTMLElement | null | undefined): Promise<void> {
  await tick();
  if (document.activeElement && document.activeElement !== document.body) return;
  (next?.() ?? document.getElementById("main"))?.focus({ preventScroll: true });
}
