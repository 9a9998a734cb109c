// One's appointments in other calendar programs: the address is told once, works until there is another one, and is turned off.
import type { Locator, Page } from "@playwright/test";
import { accessible, book, expect, practice, register, rest, starts, test } from "./clinic";
import { LOOKS, wholePage } from "./looks";

const TITLE = "Su calendario en otros programas";
const sectionOf = (page: Page): Locator => page.locator("section", { has: page.getByRole("heading", { name: TITLE }) });
/** As a program does, which has nothing but the address. */
const statusOf = async (address: string): Promise<number> => (await fetch(address)).status;

/** Makes the first address, which is then ready to be copied. */
async function created(feed: Locator): Promise<string> {
  await feed.getByRole("button", { name: "Crear dirección" }).click();
  const field = feed.getByLabel("Dirección del calendario");
  await expect(field).toBeFocused();
  return field.inputValue();
}

/** What is marked in a field. */
const marked = (field: Locator): Promise<string> =>
  field.evaluate((input: HTMLInputElement) => input.value.slice(input.selectionStart ?? 0, input.selectionEnd ?? 0));

test("the address of a calendar is told once, read by a program, and turned off", async ({ stage }) => {
  const at = await practice();
  const patient = await register("patient");
  const [start] = (await starts(at)) as [string];
  await book(at, patient, start);
  const page = await stage.open(patient, { permissions: ["clipboard-read", "clipboard-write"] });
  await page.goto("/account");
  const feed = sectionOf(page);
  const field = feed.getByLabel("Dirección del calendario");
  const address = await created(feed);
  expect(await marked(field)).toBe(address);
  await feed.getByRole("button", { name: "Copiar" }).click();
  await expect(page.getByRole("log").getByText("Copiada", { exact: true })).toBeVisible();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(address);

  const answer = await fetch(address);
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-type")).toContain("text/calendar");
  const text = await answer.text();
  expect(text).toContain("BEGIN:VCALENDAR");
  expect(text).toContain(`DTSTART:${start.replaceAll(/[-:]/g, "")}`);

  await page.reload();
  await expect(feed.getByText("Hay una dirección desde el")).toBeVisible();
  await expect(field).toHaveCount(0);
  expect(await statusOf(address)).toBe(200);

  await feed.getByRole("button", { name: "Desactivar" }).click();
  const dialog = page.getByRole("dialog", { name: "¿Desactivar la dirección?" });
  await dialog.getByRole("button", { name: "Desactivar" }).click();
  await expect(dialog).toBeHidden();
  await expect(feed.getByRole("button", { name: "Crear dirección" })).toBeFocused();
  expect(await statusOf(address)).toBe(404);
});

test("another address takes the place of the one before, if that is wanted", async ({ stage }) => {
  const page = await stage.open(await register("patient"));
  await page.goto("/account");
  const feed = sectionOf(page);
  const field = feed.getByLabel("Dirección del calendario");
  const address = await created(feed);
  const another = feed.getByRole("button", { name: "Crear otra" });
  await another.click();
  const dialog = page.getByRole("dialog", { name: "¿Crear otra dirección?" });
  await expect(dialog.getByText("La dirección actual deja de funcionar")).toBeVisible();
  await dialog.getByRole("button", { name: "Volver" }).click();
  await expect(another).toBeFocused();
  await expect(field).toHaveValue(address);
  expect(await statusOf(address)).toBe(200);

  await another.click();
  await dialog.getByRole("button", { name: "Crear otra" }).click();
  await expect(dialog).toBeHidden();
  await expect(field).toBeFocused();
  await expect(field).not.toHaveValue(address);
  expect(await statusOf(address)).toBe(404);
  expect(await statusOf(await field.inputValue())).toBe(200);
});

test("an address that another device has replaced or turned off is shown no longer", async ({ stage }) => {
  const person = await register("patient");
  const page = await stage.open(person);
  await page.goto("/account");
  const feed = sectionOf(page);
  await created(feed);
  const comeBack = (): Promise<boolean> => page.evaluate(() => dispatchEvent(new Event("focus")));
  await rest("POST", "/v1/me/calendar-feed", {}, person.token);
  await comeBack();
  await expect(feed.getByText("Hay una dirección desde el")).toBeVisible();
  await expect(feed.getByLabel("Dirección del calendario")).toHaveCount(0);
  await rest("DELETE", "/v1/me/calendar-feed", undefined, person.token);
  await comeBack();
  await expect(feed.getByRole("button", { name: "Crear dirección" })).toBeVisible();
});

test("without a clipboard, the address is selected to be copied by hand", async ({ stage }) => {
  const page = await stage.open(await register("patient"));
  await page.addInitScript(() => Object.defineProperty(navigator, "clipboard", { value: undefined }));
  await page.goto("/account");
  const feed = sectionOf(page);
  const field = feed.getByLabel("Dirección del calendario");
  const address = await created(feed);
  await field.evaluate((input: HTMLInputElement) => input.setSelectionRange(0, 0));
  await feed.getByRole("button", { name: "Copiar" }).click();
  await expect(page.getByRole("log").getByText("La dirección está seleccionada")).toBeVisible();
  await expect(field).toBeFocused();
  expect(await marked(field)).toBe(address);
});

for (const { look, language, options } of LOOKS) {
  test(`no barriers where the address of a calendar is made, ${look}`, async ({ stage }) => {
    const page = await stage.open(await register("patient"), options);
    await page.locator(".language select").selectOption(language);
    await page.goto("/account");
    const words = language === "es" ? { create: "Crear dirección", off: "Desactivar" } : { create: "Create address", off: "Turn off" };
    await page.getByRole("button", { name: words.create }).click();
    await expect(page.locator("input[readonly]")).toBeVisible();
    await wholePage(page);
    await page.getByRole("button", { name: words.off }).click();
    await expect(page.getByRole("dialog")).toBeVisible();
    await accessible(page);
    await page.reload();
    await expect(page.getByRole("button", { name: words.off })).toBeVisible();
    await wholePage(page);
  });
}
