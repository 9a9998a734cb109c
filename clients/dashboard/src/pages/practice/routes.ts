// Pages of this part, and what leads to them.
import type { Link, Page } from "../../app/router.svelte";

export const pages: Page[] = [];
export const links: Link[] = [];
