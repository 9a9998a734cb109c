// Since when those who are there have been waiting. The appointment itself tells only its last change, which may be a later one, so the history is asked once for each.
import type { Appointment } from "@cita/client";
import { cita } from "../../app/session.svelte";

export class Arrivals {
  #known = $state.raw<ReadonlyMap<string, number>>(new Map());
  readonly #asked = new Set<string>();

  /** Milliseconds; until the history has answered, that of the last change. */
  since({ id, updatedAt }: Appointment): number {
    return this.#known.get(id) ?? Date.parse(updatedAt);
  }

  look(arrived: readonly Appointment[]): void {
    const ids = new Set(arrived.map(({ id }) => id));
    // Who has left and comes again is asked for again.
    for (const id of this.#asked) if (!ids.has(id)) this.#asked.delete(id);
    for (const id of ids) {
      if (this.#asked.has(id)) continue;
      this.#asked.add(id);
      cita.request("appointment.history", { id }).then(
        ({ items }) => {
          const last = items.filter(({ action }) => action === "checkedIn").at(-1);
          if (last) this.#known = new Map([...this.#known, [id, Date.parse(last.at)]]);
        },
        () => this.#asked.delete(id),
      );
    }
  }
}
