// What the practice does with an appointment: shown at once, taken back with the reason when it is refused.
import { CitaError, type Appointment, type AppointmentStatus } from "@cita/client";
import { announce, toast } from "../../app/announce.svelte";
import { explain } from "../../app/errors";
import { messages } from "../../app/i18n.svelte";
import { cita } from "../../app/session.svelte";
import { when } from "../../app/time.svelte";
import { statusText } from "../../ui/status";
import type { Agendas } from "./agendas.svelte";
import { minutesOf } from "./wall";

const t = messages({
  es: { now: (name: string, status: string) => `${name}: ${status.toLocaleLowerCase()}`, moved: (name: string, to: string) => `${name} pasó a ${to}.`, failed: (name: string, why: string) => `La cita de ${name} no se cambió. ${why}`, notMoved: (name: string, why: string) => `La cita de ${name} sigue a su hora. ${why}`, undo: "Deshacer", undone: "Se deshizo un cambio de hora", taken: "Esa hora ya está ocupada.", stale: "Alguien la cambió mientras tanto." },
  en: { now: (name, status) => `${name}: ${status.toLocaleLowerCase()}`, moved: (name, to) => `${name} moved to ${to}.`, failed: (name, why) => `The appointment of ${name} was not changed. ${why}`, notMoved: (name, why) => `The appointment of ${name} stays where it was. ${why}`, undo: "Undo", undone: "A move was undone", taken: "That time is taken.", stale: "Somebody changed it in the meantime." },
});

export type Verb = "approve" | "decline" | "cancel" | "checkIn" | "complete" | "noShow" | "undo";

const BEFORE: Partial<Record<AppointmentStatus, AppointmentStatus>> = { arrived: "booked", fulfilled: "arrived", noshow: "booked" };
const AFTER: Record<Exclude<Verb, "undo">, AppointmentStatus> = { approve: "booked", decline: "cancelled", cancel: "cancelled", checkIn: "arrived", complete: "fulfilled", noShow: "noshow" };
/** `appointment.undo` reaches back so far. */
const UNDO_MS = 10 * 60_000;

/** What can be done in a state, the usual first. */
export function verbs({ status, start, updatedAt }: Appointment, now: number): readonly Verb[] {
  if (status === "pending") return ["approve", "decline"];
  // Not to come is only said once the time has begun.
  if (status === "booked") return Date.parse(start) < now ? ["checkIn", "noShow", "cancel"] : ["checkIn", "cancel"];
  const undo: Verb[] = now - Date.parse(updatedAt) < UNDO_MS && status in BEFORE ? ["undo"] : [];
  return status === "arrived" ? ["complete", ...undo, "cancel"] : undo;
}

export const isMovable = ({ status }: Appointment): boolean => status === "pending" || status === "booked";

/** Whether it went through. */
export async function change(agendas: Agendas, appointment: Appointment, verb: Verb, reason?: string): Promise<boolean> {
  const { id, rev, patientName } = appointment;
  const status = verb === "undo" ? BEFORE[appointment.status]! : AFTER[verb];
  const done = verb === "decline" || verb === "cancel" ? cita.request(`appointment.${verb}`, { id, rev, ...(reason && { reason }) }) : cita.request(`appointment.${verb}`, { id, rev });
  agendas.overlay(appointment, { status, updatedAt: new Date(cita.now()).toISOString(), ...(reason && { cancelReason: reason }) }, done);
  try {
    const changed = await done;
    const undo = status in BEFORE && verb !== "undo" ? { label: t.undo, run: () => void change(agendas, changed, "undo") } : undefined;
    toast(t.now(patientName, statusText(status)), "ok", undo);
    return true;
  } catch (error) {
    toast(t.failed(patientName, why(error)), "danger");
    return false;
  }
}

/** Moves it; what the practice may set aside with a reason is thrown to be asked about, all else is told. */
export async function reschedule(agendas: Agendas, appointment: Appointment, start: string, override?: string): Promise<boolean> {
  const { id, rev, patientName } = appointment;
  const end = new Date(Date.parse(start) + minutesOf(appointment) * 60_000).toISOString();
  const done = cita.request("appointment.reschedule", { id, rev, start, ...(override && { override: { reason: override } }) });
  agendas.overlay(appointment, { start, end }, done);
  try {
    const moved = await done;
    // Where it was is no longer asked about.
    const back = { label: t.undo, run: () => void reschedule(agendas, moved, appointment.start, t.undone) };
    toast(t.moved(patientName, when(start)), "ok", back);
    return true;
  } catch (error) {
    if (isOverridable(error) && !override) {
      announce(t.notMoved(patientName, why(error)));
      throw error;
    }
    toast(t.notMoved(patientName, why(error)), "danger");
    return false;
  }
}

/** Rules of the service that the practice may set aside, with a reason. */
const OVERRIDABLE: readonly string[] = ["past", "notice", "horizon", "holiday", "hours", "step", "daily_limit", "weekly_limit", "patients"];
export const isOverridable = (error: unknown): error is CitaError => error instanceof CitaError && error.code === "slot_unavailable" && OVERRIDABLE.includes(error.rule ?? "");

/** In the words of somebody at the desk. */
export function why(error: unknown): string {
  if (error instanceof CitaError && error.code === "slot_taken") return t.taken;
  if (error instanceof CitaError && error.code === "stale_rev") return t.stale;
  return explain(error);
}
