// Appointments and closed hours in the form in which the calendar draws them. What did not change stays the same object, so that only changes are drawn anew.
import type { Calendar as EventCalendar } from "@event-calendar/core";
import type { Appointment } from "@cita/client";
import { isMovable } from "./actions.svelte";
import type { Stretch } from "./hours.svelte";
import { laterOnWall, minutesOf, wallOf } from "./wall";

export type Drawn = EventCalendar.EventInput & { id: string };

/** Cancelled ones take no time, and are told by the agenda alone. */
export const isDrawn = ({ status }: Appointment): boolean => status !== "cancelled" && status !== "expired";

const drawn = new WeakMap<Appointment, Drawn>();
export function drawnOf(appointment: Appointment): Drawn {
  let event = drawn.get(appointment);
  if (!event) {
    const start = wallOf(appointment.start);
    event = {
      id: appointment.id,
      start,
      end: laterOnWall(start, minutesOf(appointment)),
      resourceIds: [appointment.doctorId],
      startEditable: isMovable(appointment),
      classNames: [`is-${appointment.status}`],
      extendedProps: { appointment },
    };
    drawn.set(appointment, event);
  }
  return event;
}

export function drawnClosed(doctorId: string, { start, end, away }: Stretch): Drawn {
  return {
    id: `closed ${doctorId} ${start} ${end} ${away ?? ""}`,
    start,
    end,
    display: "background",
    resourceIds: [doctorId],
    classNames: [away === undefined ? "is-closed" : "is-away"],
    extendedProps: { away },
  };
}
