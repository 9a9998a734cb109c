// A live topic as a store: the items of one window of a wire, with what the page already shows of changes under way.

import { refusal, type CitaError } from "./error.js";
import type { Item } from "./protocol.js";
import { Store, type Readable } from "./readable.js";
import { itemKey, type Topic } from "./topics.js";
import { covers, type Names, type Viewer, type Wire } from "./wire.js";

export interface TopicState<T> {
  state: "unsubscribed" | "subscribing" | "subscribed";
  /** By start where items have one. New with each change; items that did not change stay the same objects. */
  items: readonly T[];
  /** `items` is what the server has, but for what is on its way. False without a connection and before a snapshot. */
  fresh: boolean;
  /** Why there is no subscription. */
  error?: CitaError;
  /** Of slots: the doctor's zone. */
  timeZone?: string;
  /** What the last change named; absent when all items were told anew. */
  changed?: Names;
}

export interface Overlay<T> {
  upserted?: readonly T[];
  removed?: readonly string[];
}

export interface LiveTopic<T> extends Readable<TopicState<T>> {
  /**
   * Shows a change before it is made. It is taken back when `outcome` rejects; when `outcome` resolves, it stays until the topic
   * tells of the same items, a few seconds at most.
   */
  overlay(change: Overlay<T>, outcome: Promise<unknown>): void;
}

/** How long an overlay may wait for the topic after its request was answered. */
const OVERLAY_MS = 5_000;
/** How long a subscription lives on when nobody listens: a page that is left is often come back to. */
const LINGER_MS = 5_000;

interface Layer<T extends Item> {
  upserted: Map<string, T>;
  removed: Set<string>;
  /** What the topic had of each name. Once it has something else, it knows better. */
  base: Map<string, T | undefined>;
}

/** Where the wires are kept. That of a name may be another one after a while without listeners. */
export interface Wires {
  attach(view: Viewer, own: Wire): Wire;
  detach(view: Viewer, own: Wire): Wire;
}

export class View<T extends Item> implements LiveTopic<T>, Viewer {
  isLeftOut = false;
  readonly window: Topic<T>;
  readonly #wires: Wires;
  #wire: Wire;
  readonly #store = new Store<TopicState<T>>({ state: "unsubscribed", items: [], fresh: false });
  readonly #layers = new Set<Layer<T>>();
  #listeners = 0;
  #linger: ReturnType<typeof setTimeout> | undefined;

  constructor(topic: Topic<T>, wire: Wire, wires: Wires) {
    this.window = topic;
    this.#wire = wire;
    this.#wires = wires;
    this.#expire();
  }

  get isWatched(): boolean {
    return this.#listeners > 0;
  }

  get = (): TopicState<T> => this.#store.get();

  subscribe = (run: (value: TopicState<T>) => void): (() => void) => {
    if (this.#listeners++ === 0) this.#watch();
    const leave = this.#store.subscribe(run);
    let isHere = true;
    return () => {
      if (!isHere) return;
      isHere = false;
      leave();
      if (--this.#listeners === 0) this.#unwatch();
    };
  };

  overlay = (change: Overlay<T>, outcome: Promise<unknown>): void => {
    const upserted = new Map((change.upserted ?? []).map((item) => [itemKey(item), item]));
    const removed = new Set(change.removed);
    const known = new Map(this.#known());
    const base = new Map([...upserted.keys(), ...removed].map((key) => [key, known.get(key)]));
    const layer: Layer<T> = { upserted, removed, base };
    this.#layers.add(layer);
    const takeBack = () => {
      if (this.#layers.delete(layer)) this.#show();
    };
    outcome.then((result) => {
      named(layer, result);
      setTimeout(takeBack, OVERLAY_MS);
      this.#show();
    }, takeBack);
    this.#show();
  };

  wireChanged(changed?: Names): void {
    this.#show(changed);
  }

  wireCleared(): void {
    this.#layers.clear();
    this.#show();
  }

  #watch(): void {
    clearTimeout(this.#linger);
    this.#wire = this.#wires.attach(this, this.#wire);
    this.#show();
  }

  #unwatch(): void {
    this.#expire();
    this.#show();
  }

  #expire(): void {
    this.#linger = setTimeout(() => {
      this.#wire = this.#wires.detach(this, this.#wire);
      this.wireCleared();
    }, LINGER_MS);
    unref(this.#linger);
  }

  /** What the topic has in this window. */
  *#known(): Iterable<[string, T]> {
    const { name, from, to } = this.window;
    const at = name.length + 1;
    for (const [topic, key, item] of this.#wire.items()) {
      const isInside = this.#wire.isSlots ? topic.slice(at) >= from && topic.slice(at) <= to : reaches(item, from, to);
      // A wire has items of the type that its name says.
      if (isInside) yield [key, item as T];
    }
  }

  #show(changed?: Names): void {
    const wire = this.#wire;
    const before = this.#store.get();
    const known = new Map(this.#known());
    const shown = new Map(known);
    for (const layer of this.#layers) apply(layer, known, shown);
    const sorted = [...shown.values()].sort(byStart);
    const isAsBefore = sorted.length === before.items.length && sorted.every((item, at) => item === before.items[at]);
    const items = isAsBefore ? before.items : sorted;
    const isCovered = covers(wire.window, this.window);
    const error = this.isLeftOut ? tooWide() : wire.error;
    const isWaiting = this.isWatched && !error;
    const next: TopicState<T> = {
      state: isCovered && wire.isAnswered ? "subscribed" : isCovered || isWaiting ? "subscribing" : "unsubscribed",
      items,
      fresh: isCovered && wire.isFresh,
      ...(error && { error }),
      ...(wire.timeZone !== undefined && { timeZone: wire.timeZone }),
    };
    if (changed && items !== before.items) next.changed = seen(changed, before.items, items);
    const isSame = items === before.items && next.state === before.state && next.fresh === before.fresh;
    if (isSame && next.error?.code === before.error?.code && next.timeZone === before.timeZone) return;
    this.#store.set(next);
  }
}

/** Items without a start keep the order in which they were told. */
function byStart(a: Item, b: Item): number {
  if (!("start" in a && "start" in b) || a.start === b.start) return 0;
  return a.start < b.start ? -1 : 1;
}

/** Lays a change over the items, but for the names of which the topic has something newer. */
function apply<T extends Item>(layer: Layer<T>, known: Map<string, T>, shown: Map<string, T>): void {
  for (const [key, base] of layer.base) {
    if (known.get(key) === base) continue;
    layer.base.delete(key);
    layer.upserted.delete(key);
    layer.removed.delete(key);
  }
  for (const key of layer.removed) shown.delete(key);
  for (const [key, item] of layer.upserted) shown.set(key, item);
}

/** What was made gets its name from the answer: the item that stood for it gives way to the answer. */
function named<T extends Item>(layer: Layer<T>, result: unknown): void {
  if (typeof result !== "object" || result === null || !("id" in result) || typeof result.id !== "string") return;
  for (const [key, item] of layer.upserted) {
    if (key === result.id || layer.base.get(key) !== undefined) continue;
    // An answer that is something else, a series say, does not take the place of an item.
    if (!("id" in item) || ("start" in item && !("start" in result))) continue;
    layer.upserted.delete(key);
    layer.base.delete(key);
    // Operations that make an item of a topic answer it.
    layer.upserted.set(result.id, result as T);
    layer.base.set(result.id, undefined);
    return;
  }
}

function seen<T extends Item>({ upserted, removed }: Names, before: readonly T[], after: readonly T[]): Names {
  const [old, now] = [before, after].map((items) => new Set(items.map(itemKey)));
  return {
    upserted: upserted.filter((key) => now?.has(key)),
    removed: [...upserted, ...removed].filter((key) => old?.has(key) && !now?.has(key)),
  };
}

/** Whether an item of a calendar reaches into local dates; whatever has no dates does. */
function reaches(item: Item, from: string, to: string): boolean {
  if (!from || !("timeZone" in item && "start" in item)) return true;
  const last = new Date(Date.parse(item.end) - 1);
  return localDate(new Date(item.start), item.timeZone) <= to && localDate(last, item.timeZone) >= from;
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** Dates of this language are written as in `2026-12-01`. */
function localDate(at: Date, timeZone: string): string {
  const format = formats.get(timeZone) ?? new Intl.DateTimeFormat("sv-SE", { timeZone });
  formats.set(timeZone, format);
  return format.format(at);
}

const tooWide = (): CitaError =>
  refusal("validation_failed", 422, "With the newer windows of this topic these are too many dates.");

/** Lets Node end while nothing but this timer is left. */
function unref(timer: { unref?(): void } | number): void {
  (timer as { unref?(): void }).unref?.();
}
