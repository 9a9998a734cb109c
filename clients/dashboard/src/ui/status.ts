// The states of an appointment in words, and the tone that each is shown in.
import type { AppointmentStatus } from "@cita/client";
import { messages } from "../app/i18n.svelte";

const words = messages<Record<AppointmentStatus, string>>({
  es: { held: "Apartada", expired: "Vencida", pending: "Por aprobar", booked: "Confirmada", arrived: "En sala", fulfilled: "Atendida", noshow: "No asistió", cancelled: "Cancelada" },
  en: { held: "On hold", expired: "Expired", pending: "To be approved", booked: "Confirmed", arrived: "Arrived", fulfilled: "Seen", noshow: "Did not come", cancelled: "Cancelled" },
});
const TONES: Record<AppointmentStatus, string> = { held: "warn", expired: "", pending: "info", booked: "accent", arrived: "ok", fulfilled: "ok", noshow: "danger", cancelled: "" };

export const statusText = (status: AppointmentStatus): string => words[status];
export const statusTone = (status: AppointmentStatus): string => TONES[status];
