// Requests beyond the dates that a topic tells: asked for now and then, as few of them are urgent.
import type { Appointment } from "@cita/client";
import { cita } from "../../app/session.svelte";
import { instantOf } from "../../app/time.svelte";

const AGAIN_MS = 60_000;

export class Later {
  items = $state.raw<readonly Appointment[]>([]);
  #askedAt = 0;
  #doctorIds: readonly string[] = [];
  #beyond = "";
  /** Which question the latest is: an answer to an older one comes too late. */
  #turn = 0;
  /** Answered a moment ago: a list that was asked for before still has them. */
  readonly #answered = new Set<string>();

  /** Asks when the doctors are others, or it was long ago. */
  look(doctorIds: readonly string[], beyond: string, now: number): void {
    const isSame = doctorIds.join() === this.#doctorIds.join() && beyond === this.#beyond;
    if (isSame && now - this.#askedAt < AGAIN_MS) return;
    [this.#doctorIds, this.#beyond] = [doctorIds, beyond];
    this.#askedAt = now;
    this.again();
  }

  /** Asks at once: something was changed. */
  again(): void {
    const turn = ++this.#turn;
    // A day less, as doctors elsewhere have another midnight.
    const from = instantOf(this.#beyond, "00:00", "UTC");
    Promise.all(this.#doctorIds.map((doctorId) => pending(doctorId, from))).then(
      (lists) => {
        if (turn === this.#turn) this.items = lists.flat().filter(({ id }) => !this.#answered.has(id));
      },
      () => (this.#askedAt = 0),
    );
  }

  /** Takes one off while its answer is on the way. What comes back ends that: it is there again if it was refused. */
  answering(id: string): (done: boolean) => void {
    const item = this.items.find((item) => item.id === id);
    this.#answered.add(id);
    this.items = this.items.filter((other) => other !== item);
    return (done) => {
      this.#answered.delete(id);
      if (!done && item && !this.items.some((other) => other.id === id)) this.items = [...this.items, item];
      if (item) this.again();
    };
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
