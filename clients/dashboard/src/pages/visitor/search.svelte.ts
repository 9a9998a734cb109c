// The search for a doctor: what is asked for, page by page, and the next free time of each, whatever the order.
import type { Doctor, DoctorSort, FirstSlot } from "@cita/client";
import { CitaError, cita } from "../../app/session.svelte";

export interface Wanted {
  text: string;
  specialisation: string;
  language: string;
  sort: DoctorSort;
}

const PAGE = 12;
/** The most that one page of the server has. */
const MOST = 100;

export class DoctorSearch {
  items = $state.raw<readonly Doctor[]>([]);
  next = $state<string>();
  busy = $state(false);
  error = $state.raw<unknown>();
  /** Next free times by doctor; not complete while `timing`, and beyond the first hundred that fit. */
  times = $state.raw<ReadonlyMap<string, FirstSlot>>(new Map());
  timing = $state(false);
  answeredAt = 0;
  #wanted: Wanted | undefined;
  #giveUp: AbortController | undefined;

  /** Asks anew; what was asked for before does not matter any more. What is shown stays until the answer is there. */
  async run(wanted: Wanted): Promise<void> {
    this.#wanted = wanted;
    this.#giveUp?.abort();
    this.#giveUp = new AbortController();
    const { signal } = this.#giveUp;
    void this.#tell(wanted, signal);
    await this.#ask(signal);
  }

  again(): void {
    if (this.#wanted) void this.run(this.#wanted);
  }

  async more(): Promise<void> {
    if (this.next && this.#giveUp && !this.busy) await this.#ask(this.#giveUp.signal, this.next);
  }

  async #ask(signal: AbortSignal, pageToken?: string): Promise<void> {
    this.busy = true;
    this.error = undefined;
    try {
      const page = await cita.request("doctor.search", { ...query(this.#wanted!), sort: this.#wanted!.sort, pageSize: PAGE, ...(pageToken && { pageToken }) }, { signal });
      this.items = pageToken ? [...this.items, ...page.items] : page.items;
      this.next = page.nextPageToken;
      this.answeredAt = Date.now();
      this.#learn(page.items);
    } catch (error) {
      if (isAborted(error)) return;
      this.error = error;
    }
    this.busy = false;
  }

  /** In any other order the next times come from a second question, one for all that fit and not one for each. */
  async #tell(wanted: Wanted, signal: AbortSignal): Promise<void> {
    this.times = new Map();
    this.timing = wanted.sort !== "available";
    if (!this.timing) return;
    try {
      this.#learn((await cita.request("doctor.search", { ...query(wanted), sort: "available", pageSize: MOST }, { signal })).items);
      this.timing = false;
    } catch (error) {
      // The doctors are shown all the same; their own pages tell the times.
      if (!isAborted(error)) this.timing = false;
    }
  }

  #learn(doctors: readonly Doctor[]): void {
    this.times = new Map([...this.times, ...doctors.flatMap(({ id, firstSlot }) => (firstSlot ? [[id, firstSlot] as const] : []))]);
  }
}

function query({ text, specialisation, language }: Wanted): { text?: string; specialisation?: string; language?: string } {
  return { ...(text && { text }), ...(specialisation && { specialisation }), ...(language && { language }) };
}

const isAborted = (error: unknown): boolean => error instanceof CitaError && error.code === "aborted";

/** What there is to choose from: of the first hundred by reviews, the most common first. */
export async function offered(): Promise<{ specialisations: string[]; languages: string[] }> {
  const { items } = await cita.request("doctor.search", { sort: "rating", pageSize: MOST });
  return { specialisations: common(items.flatMap(({ specialisation }) => specialisation ?? [])), languages: common(items.flatMap(({ languages }) => [...new Set(languages.map((tag) => tag.split("-")[0]!))])) };
}

function common(names: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].sort(([a, m], [b, n]) => n - m || a.localeCompare(b)).map(([name]) => name);
}
