// How long before an appointment patients may cancel or move it, in words and as an instant.
import { messages } from "../app/i18n.svelte";
import { minutes } from "../app/time.svelte";

const t = messages({
  es: { days: (n: number) => (n === 1 ? "1 día" : `${n} días`) },
  en: { days: (n) => (n === 1 ? "1 day" : `${n} days`) },
});

/** `2 días`, `24 h`, `90 min`: what people say. One day is said as 24 hours: a day before is another thing. */
export const spanText = (count: number): string => (count > 1440 && count % 1440 === 0 ? t.days(count / 1440) : minutes(count));

/** The last moment for something that must be done so many minutes before. */
export const cutoff = (start: string, count: number): number => Date.parse(start) - count * 60_000;
