// Days of the week, as the wire names them and as people do.
import type { Weekday } from "@cita/client";
import { dateText } from "../app/time.svelte";

export const WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] as const satisfies Weekday[];

/** `lunes`, `lun`. 2024 began with a Monday. */
export const weekdayText = (weekday: Weekday, width: "long" | "short" = "long"): string =>
  dateText(`2024-01-0${WEEKDAYS.indexOf(weekday) + 1}`, { weekday: width });
