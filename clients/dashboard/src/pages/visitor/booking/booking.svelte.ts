// One booking from the pick of a time to the appointment: holding → held → sending → booked, or why not. What the screen shows follows `step`.
import type { Appointment, Series, Slot } from "@cita/client";
import { CitaError, cita } from "../../../app/session.svelte";

export type Step = "holding" | "held" | "sending" | "booked" | "taken" | "over" | "refused";

/** The same time of other weeks as well. */
export interface Repetition {
  rrule: string;
  /** Those that are wanted, this one among them. */
  only: string[];
}

/** A booking that was confirmed is sent whenever the connection is back, as long as the page lives. */
const PATIENCE_MS = 30 * 60_000;

export class Booking {
  step = $state<Step>("holding");
  hold = $state.raw<Appointment>();
  appointment = $state.raw<Appointment>();
  /** All of them, where it was repeated. */
  series = $state.raw<Series>();
  /** `taken`: what is free near it. */
  alternatives = $state.raw<readonly Slot[]>([]);
  /** `refused`: why; `held`: why the last try to book came to nothing. */
  error = $state.raw<unknown>();
  readonly doctorId: string;
  readonly serviceId: string;
  readonly start: string;
  #left = false;

  constructor(doctorId: string, serviceId: string, start: string) {
    this.doctorId = doctorId;
    this.serviceId = serviceId;
    this.start = start;
  }

  get #slot(): { doctorId: string; serviceId: string; start: string } {
    return { doctorId: this.doctorId, serviceId: this.serviceId, start: this.start };
  }

  /** Takes the time for the minutes that the form needs. Who holds it already, after a reload for instance, gets the same hold. */
  async take(): Promise<void> {
    this.step = "holding";
    this.error = undefined;
    try {
      const hold = await cita.request("slot.hold", this.#slot, { timeoutMs: PATIENCE_MS });
      this.hold = hold;
      this.step = "held";
      // Whoever left meanwhile does not keep it from others.
      if (this.#left) this.release();
    } catch (error) {
      this.#refuse(error);
    }
  }

  /**
   * The key belongs to the hold: however often it is sent, after lost connections or a reload, there is one appointment. The hold is not
   * named: one that ran out while there was no connection is no reason to lose a time that is still free.
   */
  async confirm(reason: string): Promise<Appointment | undefined> {
    this.step = "sending";
    this.error = undefined;
    try {
      this.appointment = await cita.request("appointment.book", { ...this.#slot, ...(reason && { reason }) }, { key: `book ${this.hold?.id ?? this.start}`, timeoutMs: PATIENCE_MS });
      this.step = "booked";
      return this.appointment;
    } catch (error) {
      this.#refuse(error);
      return undefined;
    }
  }

  /** Several weeks at once, all or none. A hold stands in the way of a series, one's own too: it is given back first, and taken again if that fails. */
  async repeat({ rrule, only }: Repetition, reason: string): Promise<Series | undefined> {
    const hold = this.hold;
    this.step = "sending";
    this.error = undefined;
    try {
      if (hold) await cita.request("hold.release", { id: hold.id }, { timeoutMs: PATIENCE_MS });
      this.hold = undefined;
      this.series = await cita.request("series.book", { ...this.#slot, rrule, only, ...(reason && { reason }) }, { timeoutMs: PATIENCE_MS });
      this.appointment = this.series.appointments[0];
      this.step = "booked";
      return this.series;
    } catch (error) {
      await this.take();
      if (this.hold) this.error = error;
      return undefined;
    }
  }

  /** The time of the hold has run out. Who has confirmed already waits for the answer. */
  expire(): void {
    if (this.step === "held") this.step = "over";
  }

  /** Gives the time back. What is being sent goes on. */
  leave(): void {
    this.#left = true;
    if (this.step === "held") this.release();
  }

  private release(): void {
    const hold = this.hold;
    this.hold = undefined;
    // What the waitlist offers stays offered.
    if (hold?.waitlistId) return;
    // Refused is as good: then it has ended by itself, and otherwise it does so within minutes.
    if (hold) void cita.request("hold.release", { id: hold.id }).catch(() => {});
  }

  #refuse(error: unknown): void {
    const code = error instanceof CitaError ? error.code : "internal";
    this.error = error;
    if (code === "slot_taken") {
      this.alternatives = (error as CitaError).alternatives ?? [];
      this.step = "taken";
    } else if (code === "hold_expired") this.step = "over";
    // A mistake in the form, or a server that is away: the hold is there and it can be tried again.
    else this.step = this.hold && code !== "slot_unavailable" ? "held" : "refused";
  }
}
