// Names of languages, in the language of the page.
import { locale } from "../app/i18n.svelte";

/** `español` of `es-CO`, as a visitor thinks of it: the country does not matter to being understood. */
export function languageName(tag: string): string {
  const language = tag.split("-")[0]!;
  try {
    return new Intl.DisplayNames(locale.tag, { type: "language" }).of(language) ?? tag;
  } catch {
    // Not a tag that the platform knows: shown as it is.
    return tag;
  }
}

/** `español, inglés`, each once. */
export const languageNames = (tags: readonly string[]): string => [...new Set(tags.map(languageName))].join(", ");
