// How a doctor's practice is set up: hours, time off, services, profile, reviews, waitlist.
import { messages } from "../../app/i18n.svelte";
import type { Link, Page } from "../../app/router.svelte";
import { tabText } from "./tabs";

const t = messages({ es: { practice: "Consultorio" }, en: { practice: "Practice" } });
const DOCTORS = ["doctor"] as const;

export const pages: Page[] = [
  { path: "/settings", load: () => import("./Hours.svelte"), title: () => tabText("hours"), roles: DOCTORS },
  { path: "/settings/hours", load: () => import("./Hours.svelte"), title: () => tabText("hours"), roles: DOCTORS },
  { path: "/settings/time-off", load: () => import("./TimeOff.svelte"), title: () => tabText("time-off"), roles: DOCTORS },
  { path: "/settings/services", load: () => import("./Services.svelte"), title: () => tabText("services"), roles: DOCTORS },
  { path: "/settings/profile", load: () => import("./Profile.svelte"), title: () => tabText("profile"), roles: DOCTORS },
  { path: "/settings/reviews", load: () => import("./Reviews.svelte"), title: () => tabText("reviews"), roles: DOCTORS },
  { path: "/settings/waitlist", load: () => import("./Waitlist.svelte"), title: () => tabText("waitlist"), roles: DOCTORS },
];
export const links: Link[] = [{ path: "/settings", label: () => t.practice, icon: "settings", roles: DOCTORS }];
