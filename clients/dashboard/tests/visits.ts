// Visits that took place, and what their patients wrote of them.
import { rest, type Person, type Practice } from "./clinic";

interface Visit { id: string; rev: number; status: string; start: string; end: string; patientName: string }

/** Somebody without an account who should have come so many minutes ago, whatever the hour of the test. */
export const walkIn = (at: Practice, name: string, minutes: number): Promise<Visit> => late(at, minutes, { walkIn: { name, phone: "300 123 45 67" } });

/** Steps of five minutes, and a time that is over: only the practice may write that down. */
function late({ doctor, serviceId }: Practice, minutes: number, who: object): Promise<Visit> {
  const start = new Date(Math.floor((Date.now() - minutes * 60_000) / 300_000) * 300_000).toISOString();
  return rest<Visit>("POST", "/v1/appointments", { doctorId: doctor.id, serviceId, start, ...who, override: { reason: "Vino sin cita" } }, doctor.token);
}

/** A visit of some hours ago that took place. */
export async function visited(at: Practice, patient: Person, hours = 1): Promise<{ id: string }> {
  const { id } = await late(at, hours * 60, { patientId: patient.id });
  for (const step of ["check-in", "complete"]) await rest("POST", `/v1/appointments/${id}/${step}`, {}, at.doctor.token);
  return { id };
}

/** A visit an hour ago that its patient has reviewed. */
export async function reviewed(at: Practice, patient: Person, review: { rating: number; text?: string }): Promise<{ id: string; rev: number }> {
  const { id } = await visited(at, patient);
  return rest("POST", `/v1/doctors/${at.doctor.id}/reviews`, { appointmentId: id, ...review }, patient.token);
}
