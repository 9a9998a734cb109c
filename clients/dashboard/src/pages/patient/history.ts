// What stands in the history of an appointment, in words.
import type { Appointment, HistoryEntry } from "@cita/client";
import { messages } from "../../app/i18n.svelte";
import { session } from "../../app/session.svelte";

const words = messages<Record<string, string>>({
  es: { held: "Hora apartada", offered: "Ofrecida de la lista de espera", requested: "Solicitud enviada", booked: "Reservada", approved: "Aprobada", declined: "Rechazada", rescheduled: "Cambiada de hora", cancelled: "Cancelada", checkedIn: "Llegada registrada", completed: "Atendida", noShow: "Marcada como inasistencia", undone: "Cambio deshecho", reviewed: "Reseña escrita" },
  en: { held: "Time kept", offered: "Offered from the waitlist", requested: "Request sent", booked: "Booked", approved: "Approved", declined: "Declined", rescheduled: "Moved", cancelled: "Cancelled", checkedIn: "Arrival noted", completed: "Seen", noShow: "Noted as missed", undone: "Change taken back", reviewed: "Review written" },
});
const who = messages({ es: { me: "usted", doctor: "el profesional", practice: "el consultorio" }, en: { me: "you", doctor: "the doctor", practice: "the practice" } });

export const historyText = (entry: HistoryEntry): string => words[entry.action] ?? entry.action;
export const authorText = (entry: HistoryEntry, appointment: Appointment): string =>
  entry.by === session.user?.id ? who.me : entry.by === appointment.doctorId ? who.doctor : who.practice;
