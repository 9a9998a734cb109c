// One subscription of the connection: what the server has told of a topic, and from where it can be continued.
//
// "Resuming, step by step" of PROTOCOL.md is this file. Several views may share a wire: a calendar with two windows, say.

import { pause } from "./backoff.js";
import type { CitaError } from "./error.js";
import type { Item, ServerMessage, Change, Snapshot } from "./protocol.js";
import { isOf, itemKey } from "./topics.js";

export interface Window {
  readonly from: string;
  readonly to: string;
}

export interface Names {
  upserted: readonly string[];
  removed: readonly string[];
}

/** Who looks at a wire. */
export interface Viewer {
  readonly window: Window;
  /** Somebody listens. */
  readonly isWatched: boolean;
  /** Does not fit into one subscription together with newer ones. */
  isLeftOut: boolean;
  wireChanged(changed?: Names): void;
  wireCleared(): void;
}

/** The connection, as a wire needs it. */
export interface Host {
  readonly isUp: boolean;
  internal(type: string, data: object, answered: (data: object) => void, refused: (error: CitaError) => void): void;
  /** Nobody looks at the wire any more, and the server has been told. */
  released(wire: Wire): void;
}

const DAY_MS = 86_400_000;
const days = ({ from, to }: Window): number => (Date.parse(to) - Date.parse(from)) / DAY_MS + 1;
const same = (a: Window | undefined, b: Window | undefined): boolean => a?.from === b?.from && a?.to === b?.to;
export const covers = (a: Window | undefined, b: Window): boolean =>
  a !== undefined && a.from <= b.from && a.to >= b.to;

export class Wire {
  readonly name: string;
  readonly isSlots: boolean;
  /** Those who listen, and who just did. */
  readonly viewers = new Set<Viewer>();
  timeZone: string | undefined;
  error: CitaError | undefined;
  readonly #host: Host;
  /** The items of each topic that the wire has: one, or one for each date. */
  readonly #items = new Map<string, Map<string, Item>>();
  /** Snapshots of which the last part has not come. */
  readonly #parts = new Map<string, Item[]>();
  /** Dates of a range whose snapshot has come, with its cursor. */
  readonly #dates = new Map<string, string | undefined>();
  /** The snapshot has come, of all dates, and nothing has made it void. */
  #isWhole = false;
  /** From where it can be continued. Event streams tell it later than the snapshot. */
  #cursor: string | undefined;
  /** What `cursor` continues. */
  #window: Window | undefined;
  /** What this connection was asked for. */
  #current: Window | undefined;
  #isAnswered = false;
  #isBusy = false;
  #refused: Window | undefined;
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(name: string, host: Host) {
    this.name = name;
    this.isSlots = name.includes("/slots/");
    this.#host = host;
  }

  /** Told to some users only. */
  get isPrivate(): boolean {
    return /^me\/|\/(appointments|waitlist)$/.test(this.name);
  }

  /** What the connection is subscribed to, or about to be. */
  get window(): Window | undefined {
    return this.#current;
  }

  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  /** Everything that was committed is told, but for what is on its way. */
  get isFresh(): boolean {
    return this.#isAnswered && this.#isWhole;
  }

  /** Items with the topic that they came in. */
  *items(): Iterable<[topic: string, key: string, item: Item]> {
    for (const [topic, items] of this.#items) for (const [key, item] of items) yield [topic, key, item];
  }

  /** Brings the subscription to what is wanted, one step at a time: requests that are under way together have no order. */
  sync(): void {
    const wanted = this.#wanted();
    if (!wanted && !this.#current && !this.#isBusy && this.viewers.size === 0) return this.#host.released(this);
    if (!this.#host.isUp || this.#isBusy || this.#timer !== undefined || same(wanted, this.#current)) return;
    if (this.#current && (!wanted || (this.isSlots && !covers(wanted, this.#current)))) return this.#unsubscribe();
    if (wanted && !same(wanted, this.#refused)) this.#subscribe(wanted);
  }

  up(): void {
    this.#refused = undefined;
    this.#stopWaiting();
    this.sync();
  }

  down(): void {
    this.#isAnswered = this.#isBusy = false;
    this.#current = undefined;
    this.#stopWaiting();
    this.#tell();
  }

  /** Forgets everything: it was told to somebody else, or nobody looks any more. */
  clear(): void {
    this.#stopWaiting();
    this.#void();
    this.timeZone = this.error = undefined;
    this.#items.clear();
    for (const viewer of this.viewers) viewer.wireCleared();
  }

  /** Whether a frame of this topic is for this wire. */
  has(topic: string): boolean {
    if (!this.#current || !isOf(topic, this.name)) return false;
    const date = topic.slice(this.name.length + 1);
    return !date || (date >= this.#current.from && date <= this.#current.to);
  }

  frame(frame: ServerMessage): void {
    if (frame.type === "ping") this.#ping(frame.cursor);
    else if (frame.type === "snapshot") this.#snapshot(frame.data, frame.cursor);
    else if (frame.type === "change") this.#change(frame.data, frame.cursor);
    else if (frame.type === "reset") this.#reset(frame.data.topic);
  }

  /** The server has ended the subscription, or never began it. */
  ended(error: CitaError): void {
    this.#current = undefined;
    this.#isAnswered = this.#isBusy = false;
    this.#void();
    if (error.retryable) {
      this.#timer = setTimeout(
        () => {
          this.#timer = undefined;
          this.sync();
        },
        (error.retryAfterMs ?? 0) + pause(this.#failures++),
      );
    } else {
      this.#refused = this.#window;
      this.#items.clear();
    }
    this.error = error;
    this.#tell();
    this.sync();
  }

  /** The dates of all who listen, the newest first, as far as one subscription goes. */
  #wanted(): Window | undefined {
    let wanted: Window | undefined;
    const most = this.isSlots ? 62 : 92;
    for (const viewer of [...this.viewers].reverse()) {
      if (!viewer.isWatched) continue;
      const { from, to } = viewer.window;
      const both: Window = wanted
        ? { from: from < wanted.from ? from : wanted.from, to: to > wanted.to ? to : wanted.to }
        : { from, to };
      viewer.isLeftOut = wanted !== undefined && days(both) > most;
      if (!viewer.isLeftOut) wanted = both;
    }
    // Nobody listens, but somebody just did.
    return wanted ?? (this.viewers.size > 0 ? this.#current : undefined);
  }

  #subscribe(window: Window): void {
    if (!same(window, this.#window) || this.#cursor === undefined) this.#void();
    this.#window = this.#current = window;
    this.#isAnswered = false;
    this.#isBusy = true;
    const after = this.#cursor;
    const { from, to } = window;
    this.#host.internal(
      "subscribe",
      { topic: this.name, ...(from && { from, to }), ...(after !== undefined && { after }) },
      (reply) => {
        this.#isBusy = false;
        this.#isAnswered = true;
        this.#failures = 0;
        this.error = undefined;
        // A snapshot follows, after a reset if need be. What came before it is of the window before.
        if (!("resumed" in reply && reply.resumed)) this.#void();
        this.#tell();
        this.sync();
      },
      (error) => this.ended(error),
    );
    this.#tell();
  }

  #unsubscribe(): void {
    this.#isBusy = true;
    const done = () => {
      this.#isBusy = this.#isAnswered = false;
      this.#current = undefined;
      this.#tell();
      this.sync();
    };
    this.#host.internal("unsubscribe", { topic: this.name }, done, done);
  }

  #snapshot({ topic, items, more, timeZone }: Snapshot, cursor: string | undefined): void {
    const parts = this.#parts.get(topic) ?? [];
    parts.push(...items);
    if (more) {
      this.#parts.set(topic, parts);
      return;
    }
    this.#parts.delete(topic);
    const before = this.#items.get(topic);
    this.#items.set(topic, new Map(parts.map((item) => [itemKey(item), kept(before?.get(itemKey(item)), item)])));
    this.timeZone = timeZone;
    // One that comes before the answer is of the window before: it can be shown, and not be continued.
    if (!this.#isAnswered) return this.#tell();
    if (this.isSlots && this.#current) {
      this.#dates.set(topic, cursor);
      // All of them carry the same cursor, which is good once all of them have come. If others are of another time, because one
      // date was reset by itself or others are still to be, only a ping tells how far all of them are.
      if (!this.#hasAllDates() || [...this.#dates.values()].some((other) => other !== cursor)) return this.#tell();
      for (const old of this.#items.keys()) if (!this.has(old)) this.#items.delete(old);
    }
    this.#isWhole = true;
    this.#cursor = cursor;
    this.#tell();
  }

  #change({ topic, upserted, removed, timeZone }: Change, cursor: string | undefined): void {
    const items = this.#items.get(topic) ?? new Map<string, Item>();
    this.#items.set(topic, items);
    for (const key of removed) items.delete(key);
    for (const item of upserted) items.set(itemKey(item), kept(items.get(itemKey(item)), item));
    this.timeZone = timeZone;
    // A commit may concern several dates: one of them does not move the point of the range.
    if (!this.isSlots && this.#isWhole) this.#cursor = cursor ?? this.#cursor;
    this.#tell({ upserted: upserted.map(itemKey), removed });
  }

  #ping(cursor: string): void {
    if (!this.#isAnswered) return;
    const wasFresh = this.isFresh;
    this.#isWhole ||= this.isSlots && this.#hasAllDates();
    if (this.#isWhole) this.#cursor = cursor;
    if (this.isFresh !== wasFresh) this.#tell();
  }

  #hasAllDates(): boolean {
    return this.#current !== undefined && this.#dates.size >= days(this.#current);
  }

  #reset(topic: string): void {
    this.#isWhole = false;
    this.#cursor = undefined;
    this.#dates.delete(topic);
    this.#parts.delete(topic);
    this.#tell();
  }

  /** What is shown cannot be continued: a snapshot will take its place. */
  #void(): void {
    this.#isWhole = false;
    this.#cursor = undefined;
    this.#dates.clear();
    this.#parts.clear();
  }

  #stopWaiting(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #tell(changed?: Names): void {
    for (const viewer of [...this.viewers]) viewer.wireChanged(changed);
  }
}

/** An item that is what it was stays the same object. */
const kept = (before: Item | undefined, item: Item): Item =>
  before !== undefined && JSON.stringify(before) === JSON.stringify(item) ? before : item;
