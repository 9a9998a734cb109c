// The parts of a practice's settings, and what each is called.
import { messages } from "../../app/i18n.svelte";

export const TABS = ["hours", "time-off", "services", "profile", "reviews", "waitlist"] as const;
export type Tab = (typeof TABS)[number];

const words = messages<Record<Tab, string>>({
  es: { hours: "Horario", "time-off": "Ausencias", services: "Servicios", profile: "Perfil", reviews: "Reseñas", waitlist: "Lista de espera" },
  en: { hours: "Hours", "time-off": "Time off", services: "Services", profile: "Profile", reviews: "Reviews", waitlist: "Waitlist" },
});
export const tabText = (tab: Tab): string => words[tab];
