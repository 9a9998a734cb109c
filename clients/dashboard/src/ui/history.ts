// What stands in the history of an appointment, in words: for the patient and for the practice.
import type { Appointment, HistoryEntry } from "@cita/client";
import { messages } from "../app/i18n.svelte";
import { session } from "../app/session.svelte";

const words = messages<Record<string, string>>({
  es: { held: "Hora apartada", offered: "Ofrecida de la lista de espera", requested: "Solicitud enviada", booked: "Reservada", approved: "Aprobada", declined: "Rechazada", rescheduled: "Cambiada de hora", cancelled: "Cancelada", checkedIn: "Llegada registrada", completed: "Atendida", noShow: "Marcada como inasistencia", undone: "Cambio deshecho", noted: "Notas escritas", reviewed: "Reseña escrita" },
  en: { held: "Time kept", offered: "Offered from the waitlist", requested: "Request sent", booked: "Booked", approved: "Approved", declined: "Declined", rescheduled: "Moved", cancelled: "Cancelled", checkedIn: "Arrival noted", completed: "Seen", noShow: "Noted as missed", undone: "Change taken back", noted: "Notes written", reviewed: "Review written" },
});
const who = messages({ es: { me: "usted", patient: "el paciente", doctor: "el profesional", practice: "el consultorio" }, en: { me: "you", patient: "the patient", doctor: "the doctor", practice: "the practice" } });

export const historyText = (entry: HistoryEntry): string => words[entry.action] ?? entry.action;

export function authorText({ by }: HistoryEntry, { patientId, doctorId }: Appointment): string {
  if (by === session.user?.id) return who.me;
  return by === patientId ? who.patient : by === doctorId ? who.doctor : who.practice;
}
