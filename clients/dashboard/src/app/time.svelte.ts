// Instants, dates and zones, as people read them. Instants are RFC 3339 strings, dates `2026-12-01`, zones IANA names.
import { decimals, fromMinor } from "./minor";
import { keep, kept, locale } from "./i18n.svelte";

/** The viewer's own zone. */
export const HERE = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** The present minute, for what shows how long something takes or took, and for what can still be done: the server's, once it is known. */
class Clock {
  now = $state(Date.now());
  #source = (): number => Date.now();

  constructor() {
    setInterval(() => this.look(), 15_000);
    addEventListener("focus", () => this.look());
  }

  /** From now on by this one; set from outside, as the connection needs the times of this file. */
  follow(source: () => number): void {
    this.#source = source;
    this.look();
  }

  look(): void {
    this.now = this.#source();
  }
}
export const clock = new Clock();

const KEPT = "cita.clock";

/** How times are written, as somebody chose it on this device: with hours to 24, or to 12. */
class Written {
  twelve = $state(kept(KEPT) === "12");

  set(twelve: boolean): void {
    this.twelve = twelve;
    keep(KEPT, twelve ? "12" : null);
  }
}
export const written = new Written();

const formats = new Map<string, Intl.DateTimeFormat>();
function format(options: Intl.DateTimeFormatOptions, tag = locale.tag): Intl.DateTimeFormat {
  const name = tag + JSON.stringify(options);
  let made = formats.get(name);
  if (!made) formats.set(name, (made = new Intl.DateTimeFormat(tag, options)));
  return made;
}

const at = (instant: string | number | Date): Date => new Date(instant);

/** `14:30`, or `2:30 p. m.`, which is not torn apart. */
export const time = (instant: string | number, zone = HERE): string =>
  format({ ...(written.twelve ? { hour: "numeric", hourCycle: "h12" } : { hour: "2-digit", hourCycle: "h23" }), minute: "2-digit", timeZone: zone }).format(at(instant)).replaceAll(/\s/g, "\u00a0");

/** `mié, 2 dic` */
export const day = (instant: string | number, zone = HERE): string =>
  format({ weekday: "short", day: "numeric", month: "short", timeZone: zone }).format(at(instant));

/** `miércoles, 2 de diciembre de 2026` */
export const longDay = (instant: string | number, zone = HERE): string =>
  format({ weekday: "long", day: "numeric", month: "long", year: "numeric", timeZone: zone }).format(at(instant));

/** `mié, 2 dic, 14:30` */
export const when = (instant: string | number, zone = HERE): string => `${day(instant, zone)}, ${time(instant, zone)}`;

/** The local date of an instant, `2026-12-01`. */
export const dateOf = (instant: string | number | Date, zone = HERE): string =>
  format({ year: "numeric", month: "2-digit", day: "2-digit", timeZone: zone }, "en-CA").format(at(instant));

/** A date by itself, which belongs to no zone: `mié, 2 dic`. */
export const dateText = (date: string, options: Intl.DateTimeFormatOptions = { weekday: "short", day: "numeric", month: "short" }): string =>
  format({ ...options, timeZone: "UTC" }).format(at(`${date}T00:00:00Z`));

export function addDays(date: string, days: number): string {
  const moved = at(`${date}T00:00:00Z`);
  moved.setUTCDate(moved.getUTCDate() + days);
  return moved.toISOString().slice(0, 10);
}

/** The first of the month so many months on. */
export const addMonths = (date: string, months: number): string =>
  new Date(Date.UTC(Number(date.slice(0, 4)), Number(date.slice(5, 7)) - 1 + months, 1)).toISOString().slice(0, 10);

/** 0 is Monday. */
export const weekdayOf = (date: string): number => (at(`${date}T00:00:00Z`).getUTCDay() + 6) % 7;

export const mondayOf = (date: string): string => addDays(date, -weekdayOf(date));

/** The instant of a local time in a zone; a time that the clock skips is taken as if it had not. */
export function instantOf(date: string, hhmm: string, zone: string): string {
  const asUtc = Date.parse(`${date}T${hhmm}:00Z`);
  const first = asUtc - offset(asUtc, zone);
  return new Date(asUtc - offset(first, zone)).toISOString().replace(".000Z", "Z");
}

/** Milliseconds that a zone is ahead of UTC at an instant. */
function offset(instant: number, zone: string): number {
  const parts = format({ timeZone: zone, year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric", hourCycle: "h23" }, "en-US").formatToParts(at(instant));
  const get = (type: string): number => Number(parts.find((part) => part.type === type)!.value);
  return Date.UTC(get("year"), get("month") - 1, get("day"), get("hour"), get("minute"), get("second")) - Math.floor(instant / 1000) * 1000;
}

/** Whether clocks in two zones show the same at an instant. */
export const sameClock = (instant: string | number, one: string, other: string): boolean =>
  one === other || offset(at(instant).getTime(), one) === offset(at(instant).getTime(), other);

/** Names of zones are ASCII: how these cities are written, in both languages. */
const WRITTEN: Record<string, string> = { Asuncion: "Asunción", Bogota: "Bogotá", Cancun: "Cancún", Merida: "Mérida", Sao_Paulo: "São Paulo" };

/** `Madrid` of `Europe/Madrid`, where there is little room. */
export function zoneCity(zone: string): string {
  const city = zone.split("/").at(-1)!;
  return WRITTEN[city] ?? city.replaceAll("_", " ");
}

/** `Madrid (hora de Europa central)`: the city as the language writes it, as far as `Intl` knows. */
export function zoneName(zone: string): string {
  const generic = format({ timeZone: zone, timeZoneName: "longGeneric" }).formatToParts(0).find((part) => part.type === "timeZoneName")?.value;
  return generic ? `${zoneCity(zone)} (${generic})` : zoneCity(zone);
}

/** `en 3 horas`, `hace 2 días`. */
export function ago(instant: string | number, now = clock.now): string {
  const seconds = (at(instant).getTime() - now) / 1000;
  const relative = new Intl.RelativeTimeFormat(locale.tag, { numeric: "auto" });
  const steps: [Intl.RelativeTimeFormatUnit, number][] = [["day", 86_400], ["hour", 3_600], ["minute", 60]];
  const [unit, size] = steps.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  return relative.format(Math.round(seconds / size), unit);
}

/** `20 min`, `1 h 30 min`. */
export function minutes(count: number): string {
  const hours = Math.floor(count / 60);
  return [hours && `${hours} h`, (count % 60 || !hours) && `${count % 60} min`].filter(Boolean).join(" ");
}

/** `$ 180.000` */
export function money(price: { amountMinor: number; currency: string }): string {
  const amount = fromMinor(price);
  const digits = Number.isInteger(amount) ? 0 : decimals(price.currency);
  return new Intl.NumberFormat(locale.tag, { style: "currency", currency: price.currency, currencyDisplay: "narrowSymbol", minimumFractionDigits: digits, maximumFractionDigits: digits }).format(amount);
}
