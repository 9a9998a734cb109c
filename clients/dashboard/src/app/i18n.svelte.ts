// The language of the page, and texts that follow it. Texts stand beside the pages that use them: `const t = messages({ es, en })`.
export type Language = "es" | "en";
export const LANGUAGES: Record<Language, string> = { es: "Español", en: "English" };

const KEPT = "cita.language";

class Locale {
  current = $state<Language>(initial());

  /** BCP 47 tag for `Intl`. */
  get tag(): string {
    return this.current === "es" ? "es-CO" : "en-GB";
  }

  set(language: Language): void {
    this.current = language;
    keep(KEPT, language);
  }

  /** Takes the language of an account, unless somebody chose one on this device. */
  follow(tag: string | undefined): void {
    const language = tag?.slice(0, 2);
    if (kept(KEPT) === null && (language === "es" || language === "en")) this.current = language;
  }
}

function initial(): Language {
  const known = (tag: string | null | undefined): tag is string => tag === "es" || tag === "en";
  const chosen = kept(KEPT);
  if (known(chosen)) return chosen as Language;
  return (navigator.languages.map((tag) => tag.slice(0, 2)).find(known) as Language | undefined) ?? "es";
}

export const locale = new Locale();

/** Both languages must have the same texts: what is missing does not compile. Reading a text in a component follows the language. */
export function messages<T extends object>(all: { es: T; en: NoInfer<T> }): T {
  return new Proxy(all.es, { get: (_, name) => all[locale.current][name as keyof T] });
}

/** `localStorage` is refused in some private windows: what cannot be kept is forgotten. */
export function kept(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

export function keep(name: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, value);
  } catch {
    // Forgotten, see above.
  }
}
