// The appointments of several doctors between two dates, live. Each doctor is a topic of its own; what comes in a burst is shown together.
import type { Appointment, LiveTopic } from "@cita/client";
import { onDestroy, untrack } from "svelte";
import { recall, retain } from "../../app/remembered.svelte";
import { cita, topics } from "../../app/session.svelte";
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
/** So much later a burst of changes is shown as one, the larger the calendar. */
const BURST_MS = 16;
const LARGE_BURST_MS = 120;
const LARGE = 400;
/** How long after its answer a change still counts as one's own. */
const OWN_MS = 3_000;

interface Watched {
  topic: LiveTopic<Appointment>;
  leave: () => void;
  items: readonly Appointment[];
  fresh: boolean;
  error: unknown;
}

export class Agendas {
  /** By doctor; a list that did not change is the same one as before. */
  byDoctor = $state.raw<ReadonlyMap<string, readonly Appointment[]>>(new Map());
  fresh = $state(false);
  error = $state.raw<unknown>();
  #knownAt = $state<number>();
  readonly all = $derived([...this.byDoctor.values()].flat());
  readonly #watched = new Map<string, Watched & { doctorId: string }>();
  readonly #own = new Map<string, number>();
  readonly #told: (changes: readonly Change[]) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #saving: ReturnType<typeof setTimeout> | undefined;
  #dates: Dates = { from: "", to: "" };

  /** To be made while a component is set up. `told` hears of what others change. */
  constructor(calendars: () => readonly Calendar[], dates: () => Dates, told: (changes: readonly Change[]) => void = () => {}) {
    this.#told = told;
    $effect.pre(() => {
      const [wanted, between] = [calendars(), dates()];
      untrack(() => this.#watch(wanted, between));
    });
    onDestroy(() => {
      clearTimeout(this.#timer);
      clearTimeout(this.#saving);
      for (const { leave } of this.#watched.values()) leave();
    });
  }

  /** When what is shown was last right, if it is not now. */
  get knownAt(): number | undefined {
    return this.fresh ? undefined : this.#knownAt;
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
    this.#dates = dates;
    const wanted = new Map(calendars.map((calendar) => [`${calendar.id} ${calendar.timeZone} ${dates.from} ${dates.to}`, calendar]));
    for (const [key, { leave }] of this.#watched) {
      if (wanted.has(key)) continue;
      this.#watched.delete(key);
      leave();
    }
    for (const [key, calendar] of wanted) if (!this.#watched.has(key)) this.#join(key, calendar, dates);
    this.#show();
  }

  #join(key: string, { id, timeZone }: Calendar, { from, to }: Dates): void {
    // Dates of a topic are the doctor's; where the viewer's clock is another, theirs may begin a day earlier or later.
    const margin = timeZone === HERE ? 0 : 1;
    const topic = cita.topic(topics.appointments(id, addDays(from, -margin), addDays(to, margin)));
    const watched = { doctorId: id, topic, leave: () => {}, items: [] as readonly Appointment[], fresh: false, error: undefined as unknown };
    this.#watched.set(key, watched);
    watched.leave = topic.subscribe(({ items, fresh, error, changed }) => {
      const before = watched.items;
      watched.items = items;
      watched.fresh = fresh;
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
    let knownAt: number | undefined;
    const watched = [...this.#watched.values()];
    for (const { doctorId, items, fresh } of watched) {
      const old = fresh || items.length > 0 ? undefined : this.#old(doctorId);
      knownAt ??= old?.at;
      shown.set(doctorId, old?.items ?? items);
    }
    const same = shown.size === this.byDoctor.size && [...shown].every(([id, items]) => this.byDoctor.get(id) === items);
    if (!same) this.byDoctor = shown;
    this.fresh = watched.length > 0 && watched.every(({ fresh }) => fresh);
    this.error = watched.find(({ error }) => error)?.error;
    if (this.fresh) {
      this.#knownAt = Date.now();
      this.#saving ??= setTimeout(() => this.#remember(), REMEMBER_MS);
    } else this.#knownAt ??= knownAt;
  }

  readonly #recalled = new Map<string, { at: number; items: Appointment[] } | undefined>();
  #old(doctorId: string): { at: number; items: Appointment[] } | undefined {
    if (!this.#recalled.has(doctorId)) this.#recalled.set(doctorId, recall<Appointment>(`calendar.${doctorId}`));
    return this.#recalled.get(doctorId);
  }

  /** Keeps the days around the present one, to open them without a network. */
  #remember(): void {
    this.#saving = undefined;
    const today = dateOf(Date.now());
    const { from, to } = this.#dates;
    if (!this.fresh || today < from || today > to || this.byDoctor.size > REMEMBERED_CALENDARS) return;
    for (const [doctorId, items] of this.byDoctor) retain(`calendar.${doctorId}`, items);
  }
}
