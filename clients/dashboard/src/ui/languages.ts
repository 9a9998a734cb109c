// Names of languages, as the language of the page writes them.
import { locale } from "../app/i18n.svelte";

const names = new Map<string, Intl.DisplayNames>();

/** `español` of `es`; a tag that means nothing is shown as it is. */
export function languageText(tag: string): string {
  let known = names.get(locale.tag);
  if (!known) names.set(locale.tag, (known = new Intl.DisplayNames(locale.tag, { type: "language" })));
  try {
    return known.of(tag) ?? tag;
  } catch {
    return tag;
  }
}
