// Appointments for other calendars: as a file, iCalendar (RFC 5545), and as links. Times are in UTC, so that no zone has to be described.
import type { Appointment } from "@cita/client";

export interface Described {
  /** Several of a series share the rest. */
  appointments: readonly Appointment[];
  title: string;
  place?: string;
  /** A few lines of plain text. */
  description?: string;
  url?: string;
}

/** Hands the file to the browser, as a download. */
export function downloadCalendar(event: Described): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([calendarText(event)], { type: "text/calendar;charset=utf-8" }));
  link.download = `cita-${event.appointments[0]!.start.slice(0, 10)}.ics`;
  link.click();
  URL.revokeObjectURL(link.href);
}

/** Calendars of the web, and where they take one event: less than stands in the file, as they belong to others. */
export function calendarLinks({ appointments: [appointment], title, place = "", url = "" }: Omit<Described, "description">): [name: string, href: string][] {
  const { start, end } = appointment!;
  const google = new URLSearchParams({ action: "TEMPLATE", text: title, dates: `${utc(start)}/${utc(end)}`, details: url, location: place });
  const outlook = new URLSearchParams({ path: "/calendar/action/compose", rru: "addevent", subject: title, startdt: start, enddt: end, body: url, location: place });
  return [
    ["Google Calendar", `https://calendar.google.com/calendar/render?${google}`],
    // It does not read `+` as a blank.
    ["Outlook", `https://outlook.live.com/calendar/0/deeplink/compose?${outlook.toString().replaceAll("+", "%20")}`],
  ];
}

export function calendarText({ appointments, ...about }: Described): string {
  const lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Cita//Dashboard//ES", "CALSCALE:GREGORIAN", ...appointments.flatMap((appointment) => eventLines(appointment, about)), "END:VCALENDAR"];
  return lines.map((line) => `${folded(line)}\r\n`).join("");
}

function eventLines(appointment: Appointment, { title, place, description, url }: Omit<Described, "appointments">): string[] {
  const lines = [
    "BEGIN:VEVENT",
    `UID:${appointment.id}@${location.hostname}`,
    `DTSTAMP:${utc(appointment.updatedAt)}`,
    // A file that is imported again takes the place of the older one.
    `SEQUENCE:${appointment.rev}`,
    `DTSTART:${utc(appointment.start)}`,
    `DTEND:${utc(appointment.end)}`,
    `SUMMARY:${escaped(title)}`,
    place && `LOCATION:${escaped(place)}`,
    description && `DESCRIPTION:${escaped(description)}`,
    url && `URL:${url}`,
    `STATUS:${STATUS[appointment.status] ?? "CONFIRMED"}`,
    "END:VEVENT",
  ];
  return lines.filter((line): line is string => Boolean(line));
}

const STATUS: Partial<Record<Appointment["status"], string>> = { pending: "TENTATIVE", held: "TENTATIVE", cancelled: "CANCELLED" };

/** `20261201T140000Z` */
const utc = (instant: string): string => new Date(instant).toISOString().replace(/\.\d+/, "").replaceAll(/[-:]/g, "");

const escaped = (text: string): string => text.replaceAll(/[\\;,]/g, "\\$&").replaceAll(/\r\n|\r|\n/g, "\\n");

/** No line is longer than 75 octets; what is cut goes on after a space. A character is never cut. */
function folded(line: string): string {
  const encoder = new TextEncoder();
  let text = "";
  let used = 0;
  for (const letter of line) {
    const size = encoder.encode(letter).length;
    if (used + size > 75) {
      text += "\r\n ";
      used = 1;
    }
    text += letter;
    used += size;
  }
  return text;
}
