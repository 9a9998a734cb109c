// Requests beyond the dates that a topic tells: asked for now and then, as few of them are urgent.
import type { Appointment } from "@cita/client";
import { cita } from "../../app/session.svelte";
import { instantOf } from "../../app/time.svelte";

const AGAIN_MS = 60_000;

export class Later {
  items = $state.raw<readonly Appointment[]>([]);
  #askedAt = 0;
  #of = "";

  /** Asks when the doctors are others, or it was long ago. */
  look(doctorIds: readonly string[], beyond: string, now: number): void {
    const of = `${doctorIds.join()} ${beyond}`;
    if (of === this.#of && now - this.#askedAt < AGAIN_MS) return;
    this.#of = of;
    this.#askedAt = now;
    // A day less, as doctors elsewhere have another midnight.
    const from = instantOf(beyond, "00:00", "UTC");
    Promise.all(doctorIds.map((doctorId) => pending(doctorId, from))).then(
      (lists) => {
        if (of === this.#of) this.items = lists.flat();
      },
      () => this.again(),
    );
  }

  again(): void {
    this.#askedAt = 0;
  }

  answered(id: string): void {
    this.items = this.items.filter((item) => item.id !== id);
  }
}

async function pending(doctorId: string, from: string): Promise<Appointment[]> {
  const found: Appointment[] = [];
  let pageToken: string | undefined;
  do {
    const page = await cita.request("appointment.list", { doctorId, status: "pending", from, pageSize: 100, ...(pageToken && { pageToken }) });
    found.push(...page.items);
    pageToken = page.nextPageToken;
  } while (pageToken);
  return found;
}
