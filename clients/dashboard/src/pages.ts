// Every page of the dashboard.
import type { Link, Page } from "./app/router.svelte";
import * as account from "./pages/account/routes";
import * as admin from "./pages/admin/routes";
import * as patient from "./pages/patient/routes";
import * as practice from "./pages/practice/routes";
import * as settings from "./pages/settings/routes";
import * as visitor from "./pages/visitor/routes";

const parts = [visitor, patient, practice, settings, admin, account];
export const pages: Page[] = parts.flatMap((part) => part.pages);
export const links: Link[] = parts.flatMap((part) => part.links);
