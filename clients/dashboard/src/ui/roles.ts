// What somebody is to the clinic, in words.
import type { Role } from "@cita/client";
import { messages } from "../app/i18n.svelte";

const words = messages<Record<Role, string>>({
  es: { patient: "Paciente", doctor: "Profesional", staff: "Personal", admin: "Administración" },
  en: { patient: "Patient", doctor: "Doctor", staff: "Staff", admin: "Admin" },
});
export const roleText = (role: Role): string => words[role];
