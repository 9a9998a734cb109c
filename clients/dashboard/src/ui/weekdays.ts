// The days of the week in words.
import type { Weekday } from "@cita/client";
import { messages } from "../app/i18n.svelte";

const words = messages<Record<Weekday, string>>({
  es: { monday: "lunes", tuesday: "martes", wednesday: "miércoles", thursday: "jueves", friday: "viernes", saturday: "sábado", sunday: "domingo" },
  en: { monday: "Monday", tuesday: "Tuesday", wednesday: "Wednesday", thursday: "Thursday", friday: "Friday", saturday: "Saturday", sunday: "Sunday" },
});
export const weekdayText = (weekday: Weekday): string => words[weekday];
