// Log-in, registration, the links of e-mails, and one's own account.
import { messages } from "../../app/i18n.svelte";
import type { Link, Page } from "../../app/router.svelte";

const t = messages({
  es: { login: "Iniciar sesión", register: "Crear cuenta", forgot: "Recuperar la contraseña", reset: "Contraseña nueva", verify: "Confirmar el correo", account: "Mi cuenta" },
  en: { login: "Log in", register: "Create an account", forgot: "Forgotten password", reset: "New password", verify: "Confirm your address", account: "My account" },
});
const EVERYBODY = ["patient", "doctor", "staff", "admin"] as const;

export const pages: Page[] = [
  { path: "/login", load: () => import("./Login.svelte"), title: () => t.login },
  { path: "/register", load: () => import("./Register.svelte"), title: () => t.register },
  { path: "/forgot-password", load: () => import("./Forgot.svelte"), title: () => t.forgot },
  { path: "/reset-password", load: () => import("./Reset.svelte"), title: () => t.reset },
  { path: "/verify-email", load: () => import("./Verify.svelte"), title: () => t.verify },
  { path: "/account", load: () => import("./Account.svelte"), title: () => t.account, roles: EVERYBODY },
];
export const links: Link[] = [];
