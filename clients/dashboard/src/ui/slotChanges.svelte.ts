// What became of times while somebody looks at them: what has gone stays a moment, what has come is marked.
import type { LiveSlot } from "@cita/client";

const MARKED_MS = 5_000;

export class SlotChanges {
  gone = $state.raw<readonly LiveSlot[]>([]);
  came = $state.raw<ReadonlySet<string>>(new Set());
  #before: { key: string; changed: unknown; slots: readonly LiveSlot[] } | undefined;

  /** To be told each state. Answers how many have gone and come since the one before; with another `key`, none. */
  follow(key: string, changed: { removed: readonly string[] } | undefined, slots: readonly LiveSlot[]): { gone: number; came: number } {
    const before = this.#before;
    this.#before = { key, changed, slots };
    if (before?.key !== key) {
      this.gone = [];
      this.came = new Set();
    } else if (changed && before.changed !== changed) {
      const known = new Set(before.slots.map(({ start }) => start));
      const gone = before.slots.filter(({ start }) => changed.removed.includes(start));
      const came = slots.filter(({ start, status }) => status === "free" && !known.has(start)).map(({ start }) => start);
      if (gone.length + came.length > 0) this.#mark(gone, came);
      return { gone: gone.length, came: came.length };
    }
    return { gone: 0, came: 0 };
  }

  #mark(gone: readonly LiveSlot[], came: readonly string[]): void {
    this.gone = [...this.gone, ...gone];
    this.came = new Set([...this.came, ...came]);
    setTimeout(() => {
      this.gone = this.gone.filter((slot) => !gone.includes(slot));
      this.came = new Set([...this.came].filter((start) => !came.includes(start)));
    }, MARKED_MS);
  }
}
