// Light or dark: the device's choice, unless somebody chose here.
import { keep, kept } from "./i18n.svelte";

export type Theme = "auto" | "light" | "dark";
const KEPT = "cita.theme";

class Appearance {
  theme = $state<Theme>("auto");

  constructor() {
    const chosen = kept(KEPT);
    this.set(chosen === "light" || chosen === "dark" ? chosen : "auto");
  }

  set(theme: Theme): void {
    this.theme = theme;
    keep(KEPT, theme === "auto" ? null : theme);
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  }
}

export const appearance = new Appearance();
