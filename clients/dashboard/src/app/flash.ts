// What changed under somebody's eyes is marked for a moment.
import type { Attachment } from "svelte/attachments";

/** `{@attach flash(item.rev)}`: marks the element when the value is another one than before, not when it first appears. */
export function flash(value: unknown): Attachment<HTMLElement> {
  return (element) => {
    const before = seen.get(element);
    seen.set(element, value);
    if (before === undefined || before === value) return;
    element.classList.remove("flash");
    // Read in between, so that the animation begins anew.
    void element.offsetWidth;
    element.classList.add("flash");
  };
}

const seen = new WeakMap<HTMLElement, unknown>();
