// What stands in the audit, in words.
import { messages } from "../app/i18n.svelte";

const words = messages<Record<string, string>>({
  es: {
    "auth.register": "Cuenta creada",
    "auth.login": "Inicio de sesión",
    "auth.logout": "Cierre de sesión",
    "auth.refresh": "Sesión renovada",
    "auth.requestReset": "Recuperación de contraseña pedida",
    "auth.resetPassword": "Contraseña recuperada",
    "auth.verifyEmail": "Correo confirmado",
    "session.revoke": "Sesión cerrada",
    "me.update": "Datos de acceso cambiados",
    "me.export": "Datos descargados",
    "me.delete": "Cuenta cerrada",
    "calendarFeed.create": "Dirección del calendario creada",
    "calendarFeed.revoke": "Dirección del calendario desactivada",
    "admin.updateUser": "Cuenta cambiada por la administración",
    "admin.approveDoctor": "Aprobación de un profesional",
    "admin.setStaff": "Personal asignado",
    "admin.hideReview": "Reseña ocultada",
    "admin.restoreReview": "Reseña restablecida",
    "admin.createResource": "Sala o equipo creado",
    "admin.updateResource": "Sala o equipo cambiado",
    "admin.archiveResource": "Sala o equipo archivado",
    "admin.listUsers": "Consulta de cuentas",
    "admin.listAudit": "Consulta de la auditoría",
    "cita create-admin": "Administrador creado en el servidor",
  },
  en: {
    "auth.register": "Account created",
    "auth.login": "Log-in",
    "auth.logout": "Log-out",
    "auth.refresh": "Session renewed",
    "auth.requestReset": "Asked for a new password",
    "auth.resetPassword": "Password reset",
    "auth.verifyEmail": "Address confirmed",
    "session.revoke": "Session ended",
    "me.update": "Credentials changed",
    "me.export": "Data downloaded",
    "me.delete": "Account closed",
    "calendarFeed.create": "Address of the calendar created",
    "calendarFeed.revoke": "Address of the calendar turned off",
    "admin.updateUser": "Account changed by an admin",
    "admin.approveDoctor": "Approval of a doctor",
    "admin.setStaff": "Staff assigned",
    "admin.hideReview": "Review hidden",
    "admin.restoreReview": "Review restored",
    "admin.createResource": "Room or device made",
    "admin.updateResource": "Room or device changed",
    "admin.archiveResource": "Room or device archived",
    "admin.listUsers": "Accounts looked through",
    "admin.listAudit": "Audit looked through",
    "cita create-admin": "Admin made on the server",
  },
});

export const auditText = (action: string): string => words[action] ?? action;

const changes = messages<{ keys: Record<string, string>; values: Record<string, string>; people: (n: string) => string }>({
  es: {
    keys: { role: "rol", disabled: "bloqueada", approval: "", staff: "personal", kind: "", name: "nombre", archived: "archivado", password: "contraseña", "e-mail": "correo" },
    values: { patient: "paciente", doctor: "profesional", staff: "personal", admin: "administración", true: "sí", false: "no", pending: "pendiente", approved: "aprobado", rejected: "rechazado", room: "sala", device: "equipo" },
    people: (n) => (n === "1" ? "1 persona" : `${n} personas`),
  },
  en: {
    keys: { role: "role", disabled: "disabled", approval: "", staff: "staff", kind: "", name: "name", archived: "archived", password: "password", "e-mail": "e-mail address" },
    values: { patient: "patient", doctor: "doctor", staff: "staff", admin: "admin", true: "yes", false: "no", pending: "pending", approved: "approved", rejected: "rejected", room: "room", device: "device" },
    people: (n) => (n === "1" ? "1 person" : `${n} people`),
  },
});

/** `rol: personal` of `role: staff`. What has no words here is shown as it was written. */
export const changeText = (change: string): string =>
  change
    .split(", ")
    .map((part) => {
      const [key = "", value] = part.split(": ");
      const people = /^(\d+) people$/.exec(value ?? "");
      const said = people ? changes.people(people[1]!) : (changes.values[value ?? ""] ?? value);
      return [changes.keys[key] ?? key, said].filter(Boolean).join(": ");
    })
    .join(", ");
