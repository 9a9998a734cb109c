// When doctors receive, what they offer and when they are away, as the calendar shows it behind the appointments. Read when a page opens and when somebody comes back to it.
import type { Availability, DayRange, Service, TimeOff } from "@cita/client";
import { cita } from "../../app/session.svelte";
import { addDays, dateOf, instantOf, weekdayOf } from "../../app/time.svelte";
import { WEEKDAYS } from "../../ui/weekdays";
import { wallOf } from "./wall";

/** What is older is asked for again when the page comes to the front. */
const OLD_MS = 60_000;

export interface Rules {
  availability: Availability;
  services: readonly Service[];
  timeOff: readonly TimeOff[];
  /** Dates of public holidays that close. */
  holidays: ReadonlySet<string>;
}
/** Between two times of the viewer's clock. */
export interface Stretch {
  start: string;
  end: string;
  /** Why the doctor is away, if it is not just closed. */
  away?: string;
}

class Hours {
  byDoctor = $state.raw<ReadonlyMap<string, Rules>>(new Map());
  readonly #asked = new Map<string, number>();
  #waiting = new Map<string, Rules>();

  /** Reads what is not known, or known for long. Without an answer nothing is drawn behind the appointments; booking decides by the server's rules anyway. */
  load(doctorIds: readonly string[]): void {
    for (const id of doctorIds) {
      if (Date.now() - (this.#asked.get(id) ?? 0) < OLD_MS) continue;
      this.#asked.set(id, Date.now());
      read(id).then(
        (rules) => this.#took(id, rules),
        () => this.#asked.delete(id),
      );
    }
  }

  /** Several that are answered at about the same time are shown together. */
  #took(id: string, rules: Rules): void {
    if (this.#waiting.size === 0) {
      setTimeout(() => {
        this.byDoctor = new Map([...this.byDoctor, ...this.#waiting]);
        this.#waiting = new Map();
      }, 50);
    }
    this.#waiting.set(id, rules);
  }
}

export const hours = new Hours();

async function read(doctorId: string): Promise<Rules> {
  const [availability, { items: services }, { items: timeOff }] = await Promise.all([
    cita.request("availability.get", { doctorId }),
    cita.request("service.list", { doctorId }),
    cita.request("timeOff.list", { doctorId }),
  ]);
  const year = new Date().getFullYear();
  const calendars = (availability.holidayCalendars ?? []).flatMap((id) => [year, year + 1].map((of) => holidays(id, of)));
  return { availability, services: services.filter((service) => !service.archived), timeOff, holidays: new Set((await Promise.all(calendars)).flat()) };
}

const years = new Map<string, Promise<string[]>>();
function holidays(id: string, year: number): Promise<string[]> {
  const key = `${id} ${year}`;
  let known = years.get(key);
  if (!known) {
    known = cita.request("holidayCalendar.get", { id, year }).then((found) => found.holidays.map(({ date }) => date));
    known.catch(() => years.delete(key));
    years.set(key, known);
  }
  return known;
}

/** The hours of a date, by the rules of the protocol: override, holiday, season, ordinary week. */
export function openOn({ availability, holidays }: Rules, date: string): readonly DayRange[] {
  const override = availability.overrides.find((item) => item.date === date);
  if (override) return override.ranges;
  if (holidays.has(date)) return [];
  const season = availability.seasons?.find(({ from, to }) => from <= date && date <= to);
  const weekday = WEEKDAYS[weekdayOf(date)];
  return (season?.weekly ?? availability.weekly).filter((range) => range.weekday === weekday);
}

const known = new WeakMap<Rules, Map<string, readonly Stretch[]>>();

/** The open stretches that reach into dates of the viewer's clock, by start. Asked for with every change of many calendars, so it is worked out once. */
function openBetween(rules: Rules, from: string, to: string): readonly Stretch[] {
  const ofRules = known.get(rules) ?? new Map<string, readonly Stretch[]>();
  known.set(rules, ofRules);
  const key = `${from} ${to}`;
  const found = ofRules.get(key) ?? work(rules, from, to);
  ofRules.set(key, found);
  return found;
}

function work(rules: Rules, from: string, to: string): Stretch[] {
  const { timeZone } = rules.availability;
  const open: Stretch[] = [];
  // A doctor elsewhere may have another date by now.
  for (let date = addDays(from, -1); date <= addDays(to, 1); date = addDays(date, 1)) {
    for (const range of openOn(rules, date)) {
      open.push({ start: wallOf(instantOf(date, range.from, timeZone)), end: wallOf(instantOf(date, range.to, timeZone)) });
    }
  }
  return open.sort((a, b) => (a.start < b.start ? -1 : 1));
}

/** What is not open, and when the doctor is away, on dates of the viewer's clock. */
export function closedBetween(rules: Rules, from: string, to: string): Stretch[] {
  const open = openBetween(rules, from, to);
  const closed: Stretch[] = [];
  for (let date = from; date <= to; date = addDays(date, 1)) {
    const end = `${addDays(date, 1)}T00:00:00`;
    let at = `${date}T00:00:00`;
    for (const stretch of open) {
      if (stretch.end <= at || stretch.start >= end) continue;
      if (stretch.start > at) closed.push({ start: at, end: stretch.start });
      at = stretch.end;
    }
    if (at < end) closed.push({ start: at, end });
  }
  for (const off of rules.timeOff) {
    if (dateOf(off.to) >= from && dateOf(off.from) <= to) closed.push({ start: wallOf(off.from), end: wallOf(off.to), away: off.reason ?? "" });
  }
  return closed;
}

/** Full hours of the day between which anything is open, with an hour of room, or anything is drawn; office hours where nothing is known. */
export function spanOf(all: readonly Rules[], drawn: readonly { start: unknown; end: unknown }[], from: string, to: string): { from: number; to: number } {
  let [first, last] = [24, 0];
  const reach = (start: string, end: string, room: number): void => {
    if (start.slice(0, 10) > to || end.slice(0, 10) < from) return;
    const [begins, ends] = [start.slice(0, 10) < from ? 0 : Number(start.slice(11, 13)), Number(end.slice(11, 13)) + Number(end.slice(14, 16)) / 60];
    first = Math.min(first, begins - room);
    last = Math.max(last, (end.slice(0, 10) > start.slice(0, 10) ? 24 : Math.ceil(ends)) + room);
  };
  for (const rules of all) for (const { start, end } of openBetween(rules, from, to)) reach(start, end, 1);
  if (last === 0) [first, last] = [7, 19];
  for (const { start, end } of drawn) reach(String(start), String(end), 0);
  return { from: Math.max(0, first), to: Math.min(24, last) };
}

/** Whether a service is offered at that time of the viewer's clock as far as hours and steps go; outside of hours any quarter of an hour will do. */
export function isOffered(rules: Rules | undefined, serviceId: string, wall: string): boolean {
  const step = rules?.services.find(({ id }) => id === serviceId)?.stepMinutes;
  if (!rules || !step) return true;
  const date = wall.slice(0, 10);
  const range = openBetween(rules, date, date).find(({ start, end }) => start <= wall && wall < end);
  return range ? minutesBetween(range.start, wall) % step === 0 : Number(wall.slice(14, 16)) % 15 === 0;
}

const minutesBetween = (from: string, to: string): number => (Date.parse(`${to}Z`) - Date.parse(`${from}Z`)) / 60_000;
