// Whose calendars one works with: a doctor's own, those that a reception acts for, those that an admin picked. Which of them are looked at is kept on the device.
import type { Doctor } from "@cita/client";
import { keep, kept } from "../../app/i18n.svelte";
import { recall, retain } from "../../app/remembered.svelte";
import { cita, session } from "../../app/session.svelte";
import { HERE } from "../../app/time.svelte";

export interface Calendar {
  readonly id: string;
  readonly name: string;
  readonly timeZone: string;
  readonly specialisation?: string;
}

/** Under this name they are remembered, to open without a network. */
const REMEMBERED = "desk";
/** So many columns are looked at unless somebody chose; more would not fit. */
const FIRST_SHOWN = 6;

class Desk {
  all = $state.raw<readonly Calendar[]>([]);
  loaded = $state(false);
  error = $state.raw<unknown>();
  #picked = $state.raw<readonly string[]>();
  #of: string | undefined;

  /** The calendars that are looked at. */
  get shown(): readonly Calendar[] {
    const picked = this.#picked && this.all.filter(({ id }) => this.#picked!.includes(id));
    return picked?.length ? picked : this.all.slice(0, FIRST_SHOWN);
  }

  calendar(id: string): Calendar | undefined {
    return this.all.find((calendar) => calendar.id === id);
  }

  pick(ids: readonly string[]): void {
    this.#picked = ids;
    keep(this.#key, JSON.stringify(ids));
  }

  /** For an admin: one more calendar, which is looked at from now on. */
  add(doctor: Doctor): void {
    if (!this.calendar(doctor.id)) this.#becomes([...this.all, plain(doctor)]);
    this.pick([...new Set([...this.shown.map(({ id }) => id), doctor.id])]);
  }

  /** To be called by each page: what was known is there at once, and brought up to date. */
  open(): void {
    const { user } = session;
    if (!user) return;
    if (this.#of !== user.id) {
      this.#of = user.id;
      this.loaded = false;
      this.all = recall<Calendar>(REMEMBERED)?.items ?? (user.role === "doctor" ? [{ id: user.id, name: user.name, timeZone: user.timeZone ?? HERE }] : []);
      this.#picked = parse(kept(this.#key));
    }
    void this.#load();
  }

  async #load(): Promise<void> {
    this.error = undefined;
    try {
      if (session.user?.role === "doctor") this.#becomes([plain(await cita.request("doctor.get", { id: session.user.id }))]);
      else if (session.user?.role === "staff") this.#becomes((await cita.request("staff.listDoctors", {})).items.map(plain));
    } catch (error) {
      if (this.all.length === 0) this.error = error;
    }
    this.loaded = true;
  }

  #becomes(all: readonly Calendar[]): void {
    if (JSON.stringify(all) !== JSON.stringify(this.all)) this.all = all;
    retain(REMEMBERED, all);
  }

  get #key(): string {
    return `cita.desk.${this.#of}`;
  }
}

export const desk = new Desk();

const plain = ({ id, name, timeZone, specialisation }: Doctor): Calendar => ({ id, name, timeZone, ...(specialisation && { specialisation }) });

function parse(text: string | null): string[] | undefined {
  try {
    const ids: unknown = JSON.parse(text ?? "");
    return Array.isArray(ids) ? ids.filter((id) => typeof id === "string") : undefined;
  } catch {
    return undefined;
  }
}
