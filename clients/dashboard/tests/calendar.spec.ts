// The calendar of a practice under a finger, by keys alone, with short appointments, and on paper.
import { constants, inflateSync } from "node:zlib";
import type { Page } from "@playwright/test";
import { PHONE, accessible, book, expect, live, practice, register, rest, test, type Person, type Stage } from "./clinic";
import { clock, dateIn, event, finger, grip, later, morning } from "./grid";
import { wholePage } from "./looks";

const startOf = async (id: string, who: Person): Promise<string> => (await rest<{ start: string }>("GET", `/v1/appointments/${id}`, undefined, who.token)).start;
const held = (page: Page) => page.locator(".ec-preview");

/** The day of a doctor on their phone, with one appointment. */
async function dayOnAPhone(stage: Stage) {
  const at = await practice();
  const patient = await register("patient");
  const start = await morning(at);
  const { id } = await book(at, patient, start);
  const page = await stage.open(at.doctor, PHONE);
  await page.goto(`/practice?view=day&date=${dateIn(start)}`);
  await live(page);
  return { page, patient, start, id };
}

test("a finger that rests on an appointment drags it, on a phone", async ({ stage }) => {
  const { page, patient, start, id } = await dayOnAPhone(stage);
  const { x, y, slot } = await grip(page, id);
  const touch = await finger(page);

  await touch.down(x, y);
  await expect(held(page)).toBeVisible();
  for (const part of [0.3, 0.7, 1]) await touch.move(x, y + 2 * slot * part + 1);
  await touch.up();
  await expect.poll(() => startOf(id, patient)).toBe(later(start, 60));
  await expect(event(page, id)).toHaveAccessibleName(new RegExp(clock(later(start, 60))));
  await expect(page.getByRole("dialog")).toHaveCount(0);
  // What was dragged can be opened.
  await event(page, id).tap();
  await expect(page.getByRole("dialog", { name: patient.name })).toBeVisible();
});

test("a finger that moves at once scrolls, and one that is taken away leaves all as it was", async ({ stage }) => {
  const { page, patient, start, id } = await dayOnAPhone(stage);
  const touch = await finger(page);
  const scrolled = (): Promise<number> => page.locator(".ec-main").evaluate((main) => main.scrollTop);

  const first = await grip(page, id);
  const before = await scrolled();
  // In one go: on a slow machine a pause would make it a finger that rests.
  await Promise.all([touch.down(first.x, first.y), ...[10, 30, 60, 100].map((by) => touch.move(first.x, first.y - by)), touch.up()]);
  await expect.poll(scrolled).toBeGreaterThan(before);
  await expect(held(page)).toHaveCount(0);

  const second = await grip(page, id);
  await touch.down(second.x, second.y);
  await expect(held(page)).toBeVisible();
  await touch.move(second.x, second.y + second.slot);
  await touch.cancel();
  await expect(held(page)).toHaveCount(0);
  await expect(page.locator(".ec-ghost")).toHaveCount(0);
  await expect(event(page, id)).toHaveAccessibleName(new RegExp(clock(start)));
  await event(page, id).tap();
  await expect(page.getByRole("dialog", { name: patient.name })).toBeVisible();
  expect(await startOf(id, patient)).toBe(start);
});

test("a short appointment shows its time and its name whole, and tells the rest", async ({ stage }) => {
  const at = await practice({ durationMinutes: 15 });
  const patient = await register("patient");
  const start = await morning(at);
  const { id } = await book(at, patient, start);
  const page = await stage.open(at.doctor);
  await page.goto(`/practice?view=day&date=${dateIn(start)}`);
  const face = event(page, id);
  await expect(face).toHaveText(`${clock(start)}${patient.name}`);
  await expect(face).toHaveAttribute("title", new RegExp(`${patient.name}, Consulta, Confirmada`));
  expect(await face.evaluate((button) => button.scrollHeight - button.clientHeight)).toBeLessThanOrEqual(0);
  expect(await face.locator(".who").evaluate((name) => name.scrollWidth - name.clientWidth)).toBeLessThanOrEqual(0);
});

test("the shortest appointments can be hit, and those above stay where they are when room is made for them", async ({ stage }) => {
  const at = await practice({ durationMinutes: 5, stepMinutes: 5 });
  const { id: longer } = await rest<{ id: string }>("POST", `/v1/doctors/${at.doctor.id}/services`, { name: "Larga", durationMinutes: 60, minNoticeMinutes: 0, horizonDays: 60 }, at.doctor.token);
  const [one, two] = [await register("patient"), await register("patient")];
  const start = await morning(at);
  const first = await book({ ...at, serviceId: longer }, one, start);
  const page = await stage.open(at.doctor);
  await page.goto(`/practice?view=day&date=${dateIn(start)}`);
  await live(page);
  await grip(page, first.id);
  const main = page.locator(".ec-main");
  /** How many slots are above what is seen. */
  const above = (): Promise<number> => main.evaluate((node) => node.scrollTop / Number.parseFloat(getComputedStyle(node.querySelector(".ec-body")!).getPropertyValue("--ec-slot-height")));
  const before = await above();
  expect(before).toBeGreaterThan(1);
  const short = [await book(at, one, later(start, 60)), await book(at, two, later(start, 65))];
  for (const { id } of short) await expect.poll(async () => (await event(page, id).boundingBox())?.height).toBeGreaterThanOrEqual(24);
  expect(Math.abs((await above()) - before)).toBeLessThan(0.1);
  for (const { id } of short) await event(page, id).scrollIntoViewIfNeeded();
  await accessible(page);
});

test("times with 12 hours have room in the list, on a phone and on paper", async ({ stage }) => {
  const at = await practice();
  const patient = await register("patient");
  const start = await morning(at, "10:30");
  await book(at, patient, start);
  const page = await stage.open(at.doctor, PHONE);
  await page.evaluate(() => localStorage.setItem("cita.clock", "12"));
  await page.goto(`/practice?view=agenda&date=${dateIn(start)}`);
  const times = page.locator(".item .at");
  await expect(times).toContainText("10:30\u00a0a.\u00a0m.");
  const cut = (): Promise<number> => times.evaluate((node) => node.scrollWidth - node.clientWidth);
  expect(await cut()).toBe(0);
  await wholePage(page);
  // A window that is enlarged much is as narrow: keys can be turned off there, too.
  await expect(page.getByRole("button", { name: "Atajos de teclado" })).toBeVisible();
  await page.emulateMedia({ media: "print" });
  expect(await cut()).toBe(0);
});

test("keys go from day to day and change the view, unless one types or has turned them off", async ({ stage }) => {
  const at = await practice();
  const page = await stage.open(at.doctor);
  await page.goto("/practice?view=day&date=2027-03-10");
  await expect(page.locator(".ec-body")).toBeVisible();
  const asked = (): Record<string, string> => Object.fromEntries(new URL(page.url()).searchParams);
  const press = async (key: string, query: object): Promise<void> => {
    await page.keyboard.press(key);
    await expect.poll(asked).toEqual(query);
  };
  await press("j", { view: "day", date: "2027-03-11" });
  await press("ArrowRight", { view: "day", date: "2027-03-12" });
  await press("k", { view: "day", date: "2027-03-11" });
  await press("ArrowLeft", { view: "day", date: "2027-03-10" });
  await press("w", { view: "week", date: "2027-03-10" });
  await press("a", { view: "agenda", date: "2027-03-10" });
  await press("d", { view: "day", date: "2027-03-10" });
  await press("t", { view: "day" });
  // Those of the browser stay the browser's.
  await press("Control+j", { view: "day" });

  await page.keyboard.press("?");
  const list = page.getByRole("dialog", { name: "Atajos de teclado" });
  await expect(list).toContainText("Día siguiente");
  await accessible(page);
  await press("j", { view: "day" });
  await list.getByLabel("Usar atajos de teclado").uncheck();
  await page.keyboard.press("Escape");
  await expect(list).toBeHidden();
  await press("j", { view: "day" });
  await page.reload();
  await expect(page.locator(".ec-body")).toBeVisible();
  await press("j", { view: "day" });
  await page.getByRole("button", { name: "Atajos de teclado" }).click();
  await list.getByLabel("Usar atajos de teclado").check();
  await page.keyboard.press("Escape");
  await expect(list).toBeHidden();
  // In a field they are letters.
  await page.getByLabel("Ir a una fecha").focus();
  await page.keyboard.press("j");
  await page.locator(".ec-main").focus();
  await press("w", { view: "week" });
  // With Shift the arrows mark text.
  await page.keyboard.press("Shift+ArrowRight");
  await press("d", { view: "day" });
  await page.getByRole("button", { name: "Nueva cita" }).click();
  await page.getByRole("dialog").getByRole("textbox").first().pressSequentially("w");
  await expect.poll(asked).toEqual({ view: "day" });
});

/** The colours in which a page of paper has its letters, as parts of 1. */
function inks(pdf: Buffer): number[][] {
  const found = new Set<string>();
  for (const { index, 0: mark } of pdf.toString("latin1").matchAll(/(?<!end)stream\r?\n/g)) {
    const packed = pdf.subarray(index + mark.length, pdf.indexOf("endstream", index));
    const drawn = packed[0] === 0x78 ? inflateSync(packed, { finishFlush: constants.Z_SYNC_FLUSH }).toString("latin1") : "";
    let ink = "0 0 0";
    for (const [, colour, letters] of drawn.matchAll(/([\d.]+ [\d.]+ [\d.]+) rg\b|( T[jJ]\b)/g)) {
      if (colour) ink = colour;
      else if (letters) found.add(ink);
    }
  }
  return [...found].map((ink) => ink.split(" ").map(Number));
}

test("on paper a day is a list, dark letters on white, without buttons", async ({ stage }) => {
  const at = await practice();
  const patient = await register("patient");
  const start = await morning(at);
  await book(at, patient, start);
  const page = await stage.open(at.doctor, { colorScheme: "dark" });
  await page.goto(`/practice?view=day&date=${dateIn(start)}`);
  await live(page);
  const main = page.getByRole("main");
  // Dark by the device, and by the person.
  for (const theme of ["automático", "claro"]) await page.getByRole("button", { name: `Tema: ${theme}` }).click();
  await expect(page.getByRole("button", { name: "Tema: oscuro" })).toBeVisible();
  await page.evaluate(() => addEventListener("beforeprint", () => (document.body.dataset.printed = document.querySelector("main")!.textContent!), { once: true }));
  const letters = inks(await page.pdf());
  expect(letters.length).toBeGreaterThan(1);
  for (const ink of letters) expect(Math.max(...ink)).toBeLessThan(0.6);
  await expect(page.locator("body")).toHaveAttribute("data-printed", new RegExp(`${at.doctor.name} · impreso el[^]*${clock(start)}[^]*${patient.name}[^]*Consulta[^]*Confirmada`));
  // As before, for who goes on working.
  await expect(page.locator(".canvas")).toBeVisible();
  await expect(main.locator(".item")).toHaveCount(0);

  await page.emulateMedia({ media: "print" });
  await expect(page.locator(".canvas")).toBeHidden();
  await expect(page.getByRole("banner")).toBeHidden();
  // A page of A4, which is as narrow as a phone, is no longer than what is on it.
  await page.setViewportSize({ width: 718, height: 1_000 });
  expect((await page.locator(".practice").boundingBox())!.height).toBeLessThan(200);
  for (const button of await main.locator("button, input").all()) await expect(button).toBeHidden();
});
