// How pages are looked at: on a phone and wide, dark and light, in both languages.
import { PHONE, accessible, expect } from "./clinic";
import type { BrowserContextOptions, Page } from "@playwright/test";

interface Look {
  look: string;
  language: "es" | "en";
  options: BrowserContextOptions;
}
export const LOOKS: Look[] = [
  { look: "on a phone, dark, in English", language: "en", options: { ...PHONE, colorScheme: "dark" } },
  { look: "wide, light, in Spanish", language: "es", options: { colorScheme: "light" } },
];

/** A page that has loaded has no barrier, and fits the width of its window. */
export async function wholePage(page: Page): Promise<void> {
  await expect(page.locator(".loading")).toHaveCount(0);
  await accessible(page);
  expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
}
