// The hours of a doctor while they are edited: by day of the week, and what is wrong with them.
import type { Availability, AvailabilitySetRequest, DayRange, Override, Weekday, WeeklyRange } from "@cita/client";
import { WEEKDAYS } from "../../ui/weekdays";

export type Week = Record<Weekday, DayRange[]>;
export interface SeasonDraft {
  from: string;
  to: string;
  week: Week;
}
export interface Draft {
  timeZone: string;
  week: Week;
  overrides: Override[];
  seasons: SeasonDraft[];
  holidayCalendars: string[];
}
/** What is wrong, by place: `week/monday/0`, `overrides/2/0`, `seasons/0`, `seasons/0/monday/1`. */
export type Faults = Record<string, string>;

const LAST = 23 * 60 + 55;
const byDay = (weekly: readonly WeeklyRange[]): Week =>
  Object.fromEntries(WEEKDAYS.map((weekday) => [weekday, weekly.filter((range) => range.weekday === weekday).map(({ from, to }) => ({ from, to })).sort(byStart)])) as Week;
const byStart = (one: DayRange, other: DayRange): number => one.from.localeCompare(other.from);

export const draftOf = (availability: Availability): Draft => ({
  timeZone: availability.timeZone,
  week: byDay(availability.weekly),
  overrides: availability.overrides.map(({ date, ranges }) => ({ date, ranges: ranges.map((range) => ({ ...range })) })).sort((one, other) => one.date.localeCompare(other.date)),
  seasons: (availability.seasons ?? []).map(({ from, to, weekly }) => ({ from, to, week: byDay(weekly) })),
  holidayCalendars: [...(availability.holidayCalendars ?? [])],
});

const flat = (week: Week): WeeklyRange[] => WEEKDAYS.flatMap((weekday) => week[weekday].map(({ from, to }) => ({ weekday, from, to })));

export const inputOf = (draft: Draft): Omit<AvailabilitySetRequest, "doctorId"> => ({
  timeZone: draft.timeZone,
  weekly: flat(draft.week),
  overrides: draft.overrides.map(({ date, ranges }) => ({ date, ranges: ranges.map(({ from, to }) => ({ from, to })) })),
  seasons: draft.seasons.map(({ from, to, week }) => ({ from, to, weekly: flat(week) })),
  holidayCalendars: [...draft.holidayCalendars],
});

/** The place of a mistake that the server names by a pointer into the request. */
export function placeOf(pointer: string, draft: Draft): string {
  const [, part = "", index = "", ...rest] = pointer.split("/");
  if (part === "weekly" && index) return `week/${inWeek(draft.week, Number(index))}`;
  if (part === "overrides" && index) return rest[0] === "ranges" && rest[1] ? `overrides/${index}/${rest[1]}` : `overrides/${index}`;
  if (part === "seasons" && index) {
    const season = draft.seasons[Number(index)];
    return rest[0] === "weekly" && rest[1] && season ? `seasons/${index}/${inWeek(season.week, Number(rest[1]))}` : `seasons/${index}`;
  }
  return part;
}

function inWeek(week: Week, index: number): string {
  let left = index;
  for (const weekday of WEEKDAYS) {
    if (left < week[weekday].length) return `${weekday}/${left}`;
    left -= week[weekday].length;
  }
  return "";
}

/** What the server would refuse, while it is typed. The values are codes of field errors. */
export function faultsOf(draft: Draft): Faults {
  const found: Faults = {};
  const weeks: [string, Week][] = [["week", draft.week], ...draft.seasons.map(({ week }, at): [string, Week] => [`seasons/${at}`, week])];
  for (const [place, week] of weeks) for (const weekday of WEEKDAYS) check(`${place}/${weekday}`, week[weekday], found);
  draft.overrides.forEach(({ ranges }, at) => check(`overrides/${at}`, ranges, found));
  draft.seasons.forEach(({ from, to }, at) => {
    if (!from || !to) found[`seasons/${at}`] = "required";
    else if (to < from) found[`seasons/${at}`] = "order";
    else if (draft.seasons.some((other, index) => index < at && other.from <= to && from <= other.to)) found[`seasons/${at}`] = "overlap";
  });
  return found;
}

function check(place: string, ranges: readonly DayRange[], found: Faults): void {
  ranges.forEach(({ from, to }, at) => {
    if (!from || !to) found[`${place}/${at}`] = "required";
    else if (to <= from) found[`${place}/${at}`] = "order";
    else if (minutesOf(from) % 5 || minutesOf(to) % 5) found[`${place}/${at}`] = "tick";
    else if (ranges.some((other, index) => index < at && other.from < to && from < other.to)) found[`${place}/${at}`] = "overlap";
  });
}

export function minutesOf(time: string): number {
  const [hours = 0, minutes = 0] = time.split(":").map(Number);
  return hours * 60 + minutes;
}
const timeOf = (minutes: number): string => `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;

/** What somebody is likely to add to a day: the morning, then the afternoon after a break. */
export function nextRange(ranges: readonly DayRange[]): DayRange | undefined {
  const end = Math.max(-1, ...ranges.map((range) => minutesOf(range.to || "00:00")));
  if (end < 0) return { from: "08:00", to: "12:00" };
  const from = end + 60;
  return from + 60 > LAST ? undefined : { from: timeOf(from), to: timeOf(Math.min(from + 240, LAST)) };
}

export const weekMinutes = (week: Week): number =>
  WEEKDAYS.flatMap((weekday) => week[weekday]).reduce((sum, { from, to }) => sum + Math.max(0, minutesOf(to) - minutesOf(from)), 0);
