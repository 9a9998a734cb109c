// What an agenda last was, for opening it without a network. It says when it was known, is shown as old, and is forgotten at the log-out.
import type { LiveTopic } from "@cita/client";
import { untrack } from "svelte";
import { fromStore } from "svelte/store";
import { keep, kept } from "./i18n.svelte";
import { session } from "./session.svelte";

/** `localStorage` has some 5 MB for everything; an agenda is some hundred items. */
const MOST_ITEMS = 500;

export interface Agenda<Item> {
  readonly items: readonly Item[];
  /** Whether the server tells every change right now. */
  readonly fresh: boolean;
  /** When the items were last known to be right, if they are not fresh: milliseconds. */
  readonly knownAt: number | undefined;
  readonly error: unknown;
}

/** A live topic that outlives the page under `name`; to be called while a component is set up. */
export function remembered<Item>(name: string, topic: LiveTopic<Item>): Agenda<Item> {
  const live = fromStore(topic);
  const old = recall<Item>(name);
  let lastFresh = $state<number>();
  let isFresh = false;
  const owner = untrack(() => session.user?.id);

  function note(items: readonly Item[]): void {
    lastFresh = Date.now();
    // After a log-out nothing is kept any more.
    if (untrack(() => session.user?.id) === owner) retain(name, items);
  }
  // As long as every change is told, what is there is right: it was known when that ended, not when it last changed.
  $effect(() => {
    const { fresh, items, error } = live.current;
    if (fresh || (isFresh && !error)) note(items);
    isFresh = fresh;
  });
  $effect(() => {
    const ended = (): void => {
      if (isFresh) note(live.current.items);
    };
    addEventListener("pagehide", ended);
    return () => removeEventListener("pagehide", ended);
  });

  return {
    get items() {
      return live.current.fresh || live.current.items.length > 0 || !old ? live.current.items : old.items;
    },
    get fresh() {
      return live.current.fresh;
    },
    get knownAt() {
      return live.current.fresh ? undefined : (lastFresh ?? old?.at);
    },
    get error() {
      return live.current.error;
    },
  };
}

/** Keeps what was known just now, for `recall`. */
export function retain<Item>(name: string, items: readonly Item[]): void {
  keep(keyOf(name), JSON.stringify({ at: Date.now(), items: nearest(items) }));
}

/** Of too many those around now, in their order. */
function nearest<Item>(items: readonly Item[]): readonly Item[] {
  if (items.length <= MOST_ITEMS) return items;
  const now = Date.now();
  const kept = new Set(items.toSorted((a, b) => Math.abs(startOf(a) - now) - Math.abs(startOf(b) - now)).slice(0, MOST_ITEMS));
  return items.filter((item) => kept.has(item));
}
const startOf = (item: unknown): number => (typeof item === "object" && item && "start" in item && typeof item.start === "string" ? Date.parse(item.start) : 0);

/** What was kept of this user under that name, and when it was known. */
export const recall = <Item>(name: string): { at: number; items: Item[] } | undefined => parse<Item>(kept(keyOf(name)));

const keyOf = (name: string): string => `cita.agenda.${session.user?.id}.${name}`;

/** Forgets all that was kept, of whomever. */
export function forget(): void {
  try {
    for (const name of Object.keys(localStorage)) if (name.startsWith("cita.agenda.")) localStorage.removeItem(name);
  } catch {
    // Nothing can have been kept.
  }
}

function parse<Item>(text: string | null): { at: number; items: Item[] } | undefined {
  try {
    return text ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}
