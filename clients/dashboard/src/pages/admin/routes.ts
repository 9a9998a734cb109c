// What admins do: approve doctors, keep accounts, moderate reviews, read the audit, keep rooms, look at the server's health.
import { messages } from "../../app/i18n.svelte";
import type { Link, Page } from "../../app/router.svelte";

const t = messages({
  es: { start: "Resumen", overview: "Administración", doctors: "Profesionales", users: "Cuentas", reviews: "Reseñas", audit: "Auditoría", resources: "Salas y equipos", health: "Estado del servicio" },
  en: { start: "Overview", overview: "Admin", doctors: "Doctors", users: "Accounts", reviews: "Reviews", audit: "Audit", resources: "Rooms and devices", health: "State of the service" },
});
const ADMINS = ["admin"] as const;

export const pages: Page[] = [
  { path: "/admin", load: () => import("./Overview.svelte"), title: () => t.overview, roles: ADMINS },
  { path: "/admin/doctors", load: () => import("./Doctors.svelte"), title: () => t.doctors, roles: ADMINS },
  { path: "/admin/users", load: () => import("./Users.svelte"), title: () => t.users, roles: ADMINS },
  { path: "/admin/reviews", load: () => import("./Reviews.svelte"), title: () => t.reviews, roles: ADMINS },
  { path: "/admin/audit", load: () => import("./Audit.svelte"), title: () => t.audit, roles: ADMINS },
  { path: "/admin/resources", load: () => import("./Resources.svelte"), title: () => t.resources, roles: ADMINS },
  { path: "/admin/health", load: () => import("./Health.svelte"), title: () => t.health, roles: ADMINS },
];
/** What is decided every day; the rest is reached from the overview, since a phone has room for five links. */
export const links: Link[] = [
  { path: "/admin", label: () => t.start, icon: "shield", roles: ADMINS },
  { path: "/admin/doctors", label: () => t.doctors, icon: "users", roles: ADMINS },
  { path: "/admin/users", label: () => t.users, icon: "user", roles: ADMINS },
  { path: "/admin/reviews", label: () => t.reviews, icon: "star", roles: ADMINS },
];
