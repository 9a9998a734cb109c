// The appointments of several doctors between two dates, live. Each doctor is a topic of its own; what comes in a burst is shown together.
import type { Appointment, LiveTopic } from "@cita/client";
import { onDestroy, untrack } from "svelte";
import { recall, retain } from "../../app/remembered.svelte";
import { cita, session, topics } from "../../app/session.svelte";
import { HERE, addDays, dateOf } from "../../app/time.svelte";
import type { Calendar } from "./desk.svelte";

/** One appointment before and after, as somebody else changed it. */
export interface Change {
  before: Appointment | undefined;
  after: Appointment | undefined;
}
export interface Dates {
  /** Both included, of the viewer's clock. */
  from: string;
  to: string;
}

/** With more calendars than these, what is remembered would fill the device's store. */
const REMEMBERED_CALENDARS = 4;
const REMEMBER_MS = 1_000;
/** Nor one with more appointments than these: a part of them would look like all. */
const REMEMBERED_ITEMS = 500;
/** So much later a burst of changes is shown as one, the larger the calendar. */
const BURST_MS = 16;
const LARGE_BURST_MS = 120;
const LARGE = 400;
/** How long after its answer a change still counts as one's own. */
const OWN_MS = 3_000;

interface Watched {
  doctorId: string;
  topic: LiveTopic<Appointment>;
  leave: () => void;
  items: readonly Appointment[];
  fresh: boolean;
  /** Whether it has been fresh: what it holds is all that there was on its dates. */
  wasFresh: boolean;
  error: unknown;
}
/** As it is remembered: with its dates, as a day without appointments is not the same as a day that nobody asked for. */
interface Kept extends Dates {
  items: readonly Appointment[];
}
interface Options {
  /** Hears of what others change. */
  told?: (changes: readonly Change[]) => void;
  /** Whether these are the days to open without a network: one page's, or the last one that was looked at would win. */
  remembers?: boolean;
}

export class Agendas {
  /** By doctor; a list that did not change is the same one as before. */
  byDoctor = $state.raw<ReadonlyMap<string, readonly Appointment[]>>(new Map());
  fresh = $state(false);
  error = $state.raw<unknown>();
  #knownAt = $state<number>();
  /** The dates of which all is known that there is, or was. */
  #known = $state.raw<Dates>();
  readonly all = $derived([...this.byDoctor.values()].flat());
  readonly #watched = new Map<string, Watched>();
  readonly #own = new Map<string, number>();
  readonly #told: (changes: readonly Change[]) => void;
  readonly #remembers: boolean;
  /** Who is logged in: what is theirs is not kept under the name of another. */
  readonly #viewer = session.user?.id;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #saving: ReturnType<typeof setTimeout> | undefined;
  #dates: Dates = { from: "", to: "" };

  /** To be made while a component is set up. */
  constructor(calendars: () => readonly Calendar[], dates: () => Dates, { told = () => {}, remembers = false }: Options = {}) {
    this.#told = told;
    this.#remembers = remembers;
    const leaving = (): void => this.#remember();
    addEventListener("pagehide", leaving);
    $effect.pre(() => {
      const [wanted, between] = [calendars(), dates()];
      untrack(() => this.#watch(wanted, between));
    });
    onDestroy(() => {
      removeEventListener("pagehide", leaving);
      this.#remember();
      clearTimeout(this.#timer);
      clearTimeout(this.#saving);
      for (const { leave } of this.#watched.values()) leave();
    });
  }

  /** When what is shown was last right, if it is not now. */
  get knownAt(): number | undefined {
    return this.fresh ? undefined : this.#knownAt;
  }

  /** Whether all is known that there is, or was, on these dates: only then can it be said that there is nothing. */
  knows(from: string, to: string): boolean {
    return this.#known !== undefined && this.#known.from <= from && to <= this.#known.to;
  }

  find(id: string): Appointment | undefined {
    return this.all.find((appointment) => appointment.id === id);
  }

  /** Shows a change of one's own at once; it is taken back when it is refused. */
  overlay(appointment: Appointment, change: Partial<Appointment>, outcome: Promise<unknown>): void {
    const { id, doctorId } = appointment;
    this.#own.set(id, (this.#own.get(id) ?? 0) + 1);
    const done = (): void => {
      setTimeout(() => {
        const left = (this.#own.get(id) ?? 1) - 1;
        if (left > 0) this.#own.set(id, left);
        else this.#own.delete(id);
      }, OWN_MS);
    };
    outcome.then(done, done);
    for (const watched of this.#watched.values()) {
      if (watched.doctorId === doctorId) watched.topic.overlay({ upserted: [{ ...appointment, ...change }] }, outcome);
    }
    this.#show();
  }

  #watch(calendars: readonly Calendar[], dates: Dates): void {
    if (dates.from !== this.#dates.from || dates.to !== this.#dates.to) this.#remember();
    this.#dates = dates;
    const wanted = new Map(calendars.map((calendar) => [`${calendar.id} ${calendar.timeZone} ${dates.from} ${dates.to}`, calendar]));
    for (const [key, { leave }] of this.#watched) {
      if (wanted.has(key)) continue;
      this.#watched.delete(key);
      leave();
    }
    for (const [key, calendar] of wanted) {
      if (this.#watched.has(key)) continue;
      // Of what is asked for only now nothing was known a moment ago.
      this.fresh = false;
      this.#knownAt = undefined;
      this.#join(key, calendar, dates);
    }
    this.#show();
  }

  #join(key: string, { id, timeZone }: Calendar, { from, to }: Dates): void {
    // Dates of a topic are the doctor's; where the viewer's clock is another, theirs may begin a day earlier or later.
    const margin = timeZone === HERE ? 0 : 1;
    const topic = cita.topic(topics.appointments(id, addDays(from, -margin), addDays(to, margin)));
    const watched: Watched = { doctorId: id, topic, leave: () => {}, items: [], fresh: false, wasFresh: false, error: undefined };
    this.#watched.set(key, watched);
    watched.leave = topic.subscribe(({ items, fresh, error, changed }) => {
      const before = watched.items;
      watched.items = items;
      watched.fresh = fresh;
      watched.wasFresh ||= fresh;
      watched.error = error;
      if (changed && before !== items) this.#tell(before, items, changed);
      this.#timer ??= setTimeout(() => this.#show(), this.all.length > LARGE ? LARGE_BURST_MS : BURST_MS);
    });
  }

  #tell(before: readonly Appointment[], after: readonly Appointment[], changed: { upserted: readonly string[]; removed: readonly string[] }): void {
    const names = [...changed.upserted, ...changed.removed].filter((id) => !this.#own.has(id));
    if (names.length === 0) return;
    const find = (items: readonly Appointment[], id: string): Appointment | undefined => items.find((item) => item.id === id);
    this.#told(names.map((id) => ({ before: find(before, id), after: find(after, id) })));
  }

  #show(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const shown = new Map<string, readonly Appointment[]>();
    const watched = [...this.#watched.values()];
    let known: Dates | undefined = watched.length > 0 ? this.#dates : undefined;
    let knownAt: number | undefined;
    for (const { doctorId, items, wasFresh } of watched) {
      const old = wasFresh ? undefined : this.#old(doctorId);
      if (!wasFresh) known = old && known && common(known, old);
      if (old) knownAt = Math.min(knownAt ?? old.at, old.at);
      shown.set(doctorId, old && items.length === 0 ? old.items : items);
    }
    const same = shown.size === this.byDoctor.size && [...shown].every(([id, items]) => this.byDoctor.get(id) === items);
    if (!same) this.byDoctor = shown;
    if (known?.from !== this.#known?.from || known?.to !== this.#known?.to) this.#known = known;
    const wasFresh = this.fresh;
    this.fresh = watched.length > 0 && watched.every(({ fresh }) => fresh);
    this.error = watched.find(({ error }) => error)?.error;
    if (this.fresh) this.#saving ??= setTimeout(() => this.#remember(), REMEMBER_MS);
    else if (wasFresh) {
      // Until this moment it was right.
      this.#knownAt = Date.now();
      this.#remember(true);
    } else this.#knownAt ??= known && knownAt;
  }

  readonly #recalled = new Map<string, (Kept & { at: number }) | undefined>();
  /** What is remembered of a calendar, if any of it is of the dates that are looked at. */
  #old(doctorId: string): (Kept & { at: number }) | undefined {
    if (!this.#recalled.has(doctorId)) {
      const found = recall<Kept>(`calendar.${doctorId}`);
      const kept = found?.items[0];
      this.#recalled.set(doctorId, found && kept?.from ? { ...kept, at: found.at } : undefined);
    }
    const kept = this.#recalled.get(doctorId);
    return kept && common(kept, this.#dates) ? kept : undefined;
  }

  /** Keeps the days around the present one, to open them without a network: as they are, or were until just now. */
  #remember(untilNow = this.fresh): void {
    clearTimeout(this.#saving);
    this.#saving = undefined;
    if (!this.#remembers || !untilNow || session.user?.id !== this.#viewer || this.byDoctor.size > REMEMBERED_CALENDARS) return;
    const today = dateOf(Date.now());
    const { from, to } = this.#dates;
    if (today < from || today > to) return;
    for (const [doctorId, items] of this.byDoctor) if (items.length <= REMEMBERED_ITEMS) retain<Kept>(`calendar.${doctorId}`, [{ from, to, items }]);
  }
}

/** The dates that are in both. */
function common(one: Dates, other: Dates): Dates | undefined {
  const [from, to] = [one.from > other.from ? one.from : other.from, one.to < other.to ? one.to : other.to];
  return from <= to ? { from, to } : undefined;
}
