// Paths of the single page: which page is shown, and how links lead from one to the other without loading it anew.
import type { Component } from "svelte";
import type { Role } from "@cita/client";
import type { IconName } from "../ui/Icon.svelte";

export interface Page {
  /** `/doctors/:id`; parameters are handed to the page as properties. */
  path: string;
  load: () => Promise<{ default: Component<any> }>;
  /** Who may open it; absent: anybody. The server decides what is answered; this only spares people a dead end. */
  roles?: readonly Role[];
  title: () => string;
}
export interface Link {
  path: string;
  label: () => string;
  icon: IconName;
  roles?: readonly Role[];
}

class Router {
  path = $state(location.pathname);
  query = $state(new URLSearchParams(location.search));
  /** Asked before the browser's Back and Forward, or a log-out, leave the page: with something that is not saved. */
  guard: ((leave: () => unknown) => void) | undefined;
  /** Place of this entry in the browser's history, by which a step is known to go back or on. */
  #at = place(history.state) ?? 0;
  #own = false;

  constructor() {
    history.replaceState({ at: this.#at }, "");
    addEventListener("popstate", (event) => this.#popped(place(event.state)));
    document.addEventListener("click", (event) => this.#follow(event));
  }

  go(path: string, { replace = false }: { replace?: boolean } = {}): void {
    if (replace) history.replaceState({ at: this.#at }, "", path);
    else history.pushState({ at: ++this.#at }, "", path);
    this.#read();
    if (!replace) scrollTo(0, 0);
  }

  /** Changes the query of this page, in place: filters that a link or a reload brings back. */
  setQuery(values: Record<string, string | undefined>): void {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(values)) {
      if (value) query.set(name, value);
      else query.delete(name);
    }
    const text = query.toString();
    this.go(text ? `${location.pathname}?${text}` : location.pathname, { replace: true });
  }

  /** Does what leaves the page, if need be once that is agreed to. */
  leave(run: () => unknown): void {
    if (this.guard) this.guard(run);
    else run();
  }

  /** The browser has moved already: with a guard it is sent back first, and asked afterwards. */
  #popped(at: number | undefined): void {
    if (at === undefined) {
      // A link within the page made an entry of its own.
      history.replaceState({ at: ++this.#at }, "");
      return this.#read();
    }
    const step = at - this.#at;
    if (this.#own || step === 0 || !this.guard || location.pathname === this.path) {
      this.#own = false;
      this.#at = at;
      return this.#read();
    }
    this.#at = at;
    this.#own = true;
    history.go(-step);
    this.guard(() => {
      this.#own = true;
      history.go(step);
    });
  }

  #read(): void {
    this.path = location.pathname;
    this.query = new URLSearchParams(location.search);
  }

  #follow(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element).closest("a");
    if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (link.pathname.startsWith("/docs") || link.getAttribute("href")?.startsWith("#")) return;
    event.preventDefault();
    this.go(link.pathname + link.search + link.hash);
  }
}

export const router = new Router();

/** The page of a path and its parameters. */
export function match(pages: readonly Page[], path: string): { page: Page; params: Record<string, string> } | undefined {
  const parts = split(path).map(decoded);
  if (!parts.every((part) => part !== undefined)) return undefined;
  for (const page of pages) {
    const pattern = split(page.path);
    if (pattern.length !== parts.length) continue;
    const params: Record<string, string> = {};
    const fits = pattern.every((part, at) => {
      if (!part.startsWith(":")) return part === parts[at];
      params[part.slice(1)] = parts[at]!;
      return true;
    });
    if (fits) return { page, params };
  }
  return undefined;
}

function place(state: unknown): number | undefined {
  const at = state && typeof state === "object" && "at" in state ? state.at : undefined;
  return typeof at === "number" ? at : undefined;
}

/** Of an address that somebody wrote by hand nothing is expected. */
function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

const split = (path: string): string[] => path.split("/").filter(Boolean);
