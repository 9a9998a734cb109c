// Where somebody goes after a log-in: where they wanted to go, or to what their role is for.
import type { Role } from "@cita/client";
import { router } from "../../app/router.svelte";

const HOME: Record<Role, string> = { patient: "/appointments", doctor: "/practice", staff: "/practice", admin: "/admin" };

export function goHome(role: Role): void {
  const next = router.query.get("next");
  // A path of this site and nothing else: `//host` would be another one.
  router.go(next && /^\/(?![/\\])/.test(next) ? next : HOME[role], { replace: true });
}
