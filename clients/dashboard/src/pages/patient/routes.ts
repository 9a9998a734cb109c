// One's own appointments, as a patient. Doctors, staff and admins find them by way of the search: their bar is for their work.
import { messages } from "../../app/i18n.svelte";
import type { Link, Page } from "../../app/router.svelte";

const t = messages({ es: { mine: "Mis citas" }, en: { mine: "My appointments" } });
const EVERYBODY = ["patient", "doctor", "staff", "admin"] as const;

export const pages: Page[] = [{ path: "/appointments", load: () => import("./Appointments.svelte"), title: () => t.mine, roles: EVERYBODY }];
export const links: Link[] = [{ path: "/appointments", label: () => t.mine, icon: "calendar", roles: ["patient"] }];
