// Appointments that the doctor's present hours, holidays or time off no longer allow: what there is to move, and moving it.
import { CitaError, type Outside } from "@cita/client";
import { fromStore } from "svelte/store";
import { act } from "../../app/act";
import { putBack } from "../../app/paged.svelte";
import { cita, topics } from "../../app/session.svelte";
import { addDays, dateOf } from "../../app/time.svelte";

/** A change somewhere else is followed; a burst of them once. */
const SETTLE_MS = 400;
/** As far as the calendar is watched for changes. */
const WATCHED_DAYS = 60;

export class Rebook {
  items = $state.raw<readonly Outside[]>([]);
  more = $state(false);
  loaded = $state(false);
  error = $state.raw<unknown>();
  #doctorId: string;

  /** To be made while a component is set up. */
  constructor(doctorId: string) {
    this.#doctorId = doctorId;
    void this.load();
    const today = dateOf(Date.now());
    const calendar = fromStore(cita.topic(topics.appointments(doctorId, today, addDays(today, WATCHED_DAYS))));
    $effect(() => {
      if (!calendar.current.changed) return;
      const timer = setTimeout(() => void this.load(), SETTLE_MS);
      return () => clearTimeout(timer);
    });
  }

  async load(): Promise<void> {
    this.error = undefined;
    try {
      const { items, more = false } = await cita.request("appointment.listOutside", { doctorId: this.#doctorId });
      this.took({ outside: items, moreOutside: more });
    } catch (error) {
      this.error = error;
    }
  }

  /** What an answer to a change of hours says. */
  took({ outside, moreOutside = false }: { outside: readonly Outside[]; moreOutside?: boolean }): void {
    this.items = outside;
    this.more = moreOutside;
    this.loaded = true;
  }

  move = ({ appointment }: Outside, start: string, done: string): Promise<boolean> =>
    this.#done(appointment.id, () => cita.request("appointment.reschedule", { id: appointment.id, rev: appointment.rev, start }), done);

  cancel = ({ appointment }: Outside, reason: string, done: string): Promise<boolean> =>
    this.#done(appointment.id, () => cita.request("appointment.cancel", { id: appointment.id, rev: appointment.rev, ...(reason && { reason }) }), done);

  /** Takes the task off the list at once, and puts it back when it is refused. */
  async #done(id: string, run: () => Promise<unknown>, done: string): Promise<boolean> {
    const before = this.items;
    const task = before.find((item) => item.appointment.id === id);
    this.items = before.filter((item) => item !== task);
    const answer = await act(
      () =>
        run().catch((error: unknown) => {
          if (task) this.items = putBack(this.items, task, before, ({ appointment }) => appointment.id);
          // What was offered is no longer so: the other times are asked for anew.
          if (error instanceof CitaError && error.status < 500) void this.load();
          throw error;
        }),
      { done },
    );
    return answer !== undefined;
  }
}
