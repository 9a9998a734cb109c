// What everybody may see: the search, and the page of each doctor, where appointments are booked.
import { messages } from "../../app/i18n.svelte";
import type { Link, Page } from "../../app/router.svelte";

const t = messages({ es: { find: "Buscar", title: "Encuentre su cita", doctor: "Reservar una cita" }, en: { find: "Find", title: "Find your appointment", doctor: "Book an appointment" } });

export const pages: Page[] = [
  { path: "/", load: () => import("./Find.svelte"), title: () => t.title },
  { path: "/doctors/:id", load: () => import("./Doctor.svelte"), title: () => t.doctor },
];
export const links: Link[] = [{ path: "/", label: () => t.find, icon: "search" }];
