// The working day of doctor and reception: calendar, arrivals, requests.
import { messages } from "../../app/i18n.svelte";
import type { Link, Page } from "../../app/router.svelte";
import { waiting } from "./waiting.svelte";

const t = messages({
  es: { calendar: "Agenda", board: "Llegadas", requests: "Solicitudes" },
  en: { calendar: "Calendar", board: "Arrivals", requests: "Requests" },
});
const PRACTICE = ["doctor", "staff", "admin"] as const;
const DESK = ["doctor", "staff"] as const;

export const pages: Page[] = [
  { path: "/practice", load: () => import("./Practice.svelte"), title: () => t.calendar, roles: PRACTICE },
  { path: "/practice/board", load: () => import("./Board.svelte"), title: () => t.board, roles: PRACTICE },
  { path: "/practice/requests", load: () => import("./Requests.svelte"), title: () => waiting.counted(t.requests), roles: PRACTICE },
];
export const links: Link[] = [
  { path: "/practice", label: () => t.calendar, icon: "calendar", roles: DESK },
  { path: "/practice/board", label: () => t.board, icon: "users", roles: DESK },
  { path: "/practice/requests", label: () => t.requests, icon: "inbox", roles: DESK },
];
