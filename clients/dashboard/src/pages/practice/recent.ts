// What others just changed: marked for a moment, and said once for screen readers.
import type { Appointment } from "@cita/client";
import { announce } from "../../app/announce.svelte";
import { messages } from "../../app/i18n.svelte";
import { when } from "../../app/time.svelte";
import { statusText } from "../../ui/status";
import type { Change } from "./agendas.svelte";

const t = messages({
  es: { came: (name: string, at: string, status: string) => `Cita nueva: ${name}, ${at}, ${status}`, moved: (name: string, at: string) => `${name} pasó a ${at}`, became: (name: string, status: string) => `${name}: ${status}`, many: (n: number) => `${n} cambios en la agenda` },
  en: { came: (name, at, status) => `New appointment: ${name}, ${at}, ${status}`, moved: (name, at) => `${name} moved to ${at}`, became: (name, status) => `${name}: ${status}`, many: (n) => `${n} changes in the calendar` },
});

const MARKED_MS = 2_000;
/** A change waits so long to be drawn, on a busy device or outside of what is in view; its moment begins then. */
const UNDRAWN_MS = 10_000;
/** What comes within this time is said together. */
const TOGETHER_MS = 400;

export class Recent {
  readonly #marked = new Map<string, number>();
  #waiting: string[] = [];

  /** Asked when it is drawn. */
  has(id: string): boolean {
    const until = this.#marked.get(id) ?? 0;
    if (until <= Date.now()) return false;
    this.#marked.set(id, Math.min(until, Date.now() + MARKED_MS));
    return true;
  }

  heard(changes: readonly Change[]): void {
    const until = Date.now() + UNDRAWN_MS;
    for (const [id, ends] of this.#marked) if (ends < Date.now()) this.#marked.delete(id);
    for (const { before, after } of changes) {
      if (after) this.#marked.set(after.id, until);
      const words = describe(before, after);
      if (!words) continue;
      if (this.#waiting.length === 0) setTimeout(() => this.#say(), TOGETHER_MS);
      this.#waiting.push(words);
    }
  }

  #say(): void {
    announce(this.#waiting.length > 2 ? t.many(this.#waiting.length) : this.#waiting.join(". "));
    this.#waiting = [];
  }
}

function describe(before: Appointment | undefined, after: Appointment | undefined): string | undefined {
  if (!after) return undefined;
  if (!before) return t.came(after.patientName, when(after.start), statusText(after.status));
  if (before.status !== after.status) return t.became(after.patientName, statusText(after.status));
  if (before.start !== after.start) return t.moved(after.patientName, when(after.start));
  return undefined;
}
