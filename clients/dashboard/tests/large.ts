// A large practice by hand: 30 doctors with 3,000 appointments in a week, seen side by side by one receptionist. Prints how long what takes.
// CITA_LARGE=1 npx playwright test — not among the others, as it makes 3,000 appointments first and what it measures depends on the machine.
import { test, type Page } from "@playwright/test";
import { randomUUID } from "node:crypto";
import { PASSWORD, URL } from "./clinic";

const DOCTORS = 30;
const DAYS = 7;
const EACH = 100;
const CHANGES = 50;
/** Columns that a screen of 1,440 pixels shows whole. */
const IN_VIEW = 8;
const ZONE = "America/Bogota";
const WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

interface Person { id: string; token: string; email: string; name: string }
interface Booked { id: string; start: string; by: Person }

async function rest<T>(method: string, path: string, body: object, token?: string): Promise<T> {
  const response = await fetch(URL() + path, {
    method,
    headers: { "Content-Type": "application/json", "Idempotency-Key": randomUUID(), ...(token && { Authorization: `Bearer ${token}` }) },
    body: JSON.stringify(body),
  });
  const data: unknown = await response.json();
  if (!response.ok) throw new Error(`${method} ${path}: ${JSON.stringify(data)}`);
  return data as T;
}

async function enter(path: string, body: { email: string; [field: string]: string }): Promise<Person> {
  const { accessToken, user } = await rest<{ accessToken: string; user: { id: string; name: string } }>("POST", path, body);
  return { id: user.id, token: accessToken, email: body.email, name: user.name };
}
const register = (role: string, name: string): Promise<Person> => enter("/v1/auth/register", { email: `${randomUUID()}@prueba.example`, password: PASSWORD, name, role, timeZone: ZONE, locale: "es-CO" });

/** Runs all, so many at once. */
async function each<T, R>(items: readonly T[], atOnce: number, run: (item: T, at: number) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < items.length; at = next++) results[at] = await run(items[at]!, at);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}

/** The Monday after this week. */
function nextMonday(): string {
  const day = new Date(Date.now() - 5 * 3_600_000);
  day.setUTCDate(day.getUTCDate() + (7 - ((day.getUTCDay() + 6) % 7)));
  return day.toISOString().slice(0, 10);
}
const startOf = (monday: string, day: number, slot: number): string => new Date(Date.parse(`${monday}T07:00:00-05:00`) + day * 86_400_000 + slot * 40 * 60_000).toISOString();

async function seed(monday: string): Promise<{ staff: Person; booked: Booked[] }> {
  const admin = await enter("/v1/auth/login", { email: "admin@cita.example", password: "demo-clinica-2026" });
  const applicant = await register("patient", "Recepción Grande");
  await rest("PATCH", `/v1/admin/users/${applicant.id}`, { role: "staff" }, admin.token);
  const calendars = await each(Array.from({ length: DOCTORS }), 4, async (_, at) => {
    const doctor = await register("doctor", `Dra. Número ${String(at + 1).padStart(2, "0")}`);
    await rest("PUT", `/v1/doctors/${doctor.id}/availability`, { timeZone: ZONE, weekly: WEEKDAYS.map((weekday) => ({ weekday, from: "07:00", to: "19:00" })) }, doctor.token);
    const { id } = await rest<{ id: string }>("POST", `/v1/doctors/${doctor.id}/services`, { name: "Consulta", durationMinutes: 20, minNoticeMinutes: 0, horizonDays: 60 }, doctor.token);
    await rest("PUT", `/v1/admin/doctors/${doctor.id}/staff`, { staff: [applicant.id] }, admin.token);
    return { doctor, serviceId: id };
  });
  const wanted = calendars.flatMap((calendar) => Array.from({ length: EACH }, (_, at) => ({ ...calendar, start: startOf(monday, at % DAYS, Math.floor(at / DAYS)) })));
  const booked = await each(wanted, 64, async ({ doctor, serviceId, start }, at) => {
    const { id } = await rest<{ id: string }>("POST", "/v1/appointments", { doctorId: doctor.id, serviceId, start, walkIn: { name: `Paciente ${at + 1}` } }, doctor.token);
    return { id, start, by: doctor };
  });
  return { staff: applicant, booked };
}

interface Traced { name: string; ph: string; pid: number; tid: number; dur?: number; tdur?: number; args?: { name?: string } }

/** What the page's thread went through while `run` did its work: its longest tasks by the clock and by processor time, which is less of a matter of what else the machine does, and the longest pause between frames. */
async function watched(page: Page, run: () => Promise<void>): Promise<string> {
  const browser = page.context().browser()!;
  await browser.startTracing(page, { categories: ["disabled-by-default-devtools.timeline"] });
  await page.evaluate(() => {
    const seen = { frames: [] as number[], on: true };
    Object.assign(window, { seen });
    let before = performance.now();
    const frame = (now: number): void => {
      seen.frames.push(now - before);
      before = now;
      if (seen.on) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  await run();
  const frames = await page.evaluate(() => {
    // A page that was loaded anew has none.
    const { seen } = window as unknown as { seen?: { frames: number[]; on: boolean } };
    if (seen) seen.on = false;
    return seen?.frames.slice(1) ?? [];
  });
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as { traceEvents: Traced[] };
  const main = new Set(traceEvents.filter(({ name, args }) => name === "thread_name" && args?.name === "CrRendererMain").map(({ pid, tid }) => `${pid} ${tid}`));
  const tasks = traceEvents.filter(({ name, pid, tid }) => name === "RunTask" && main.has(`${pid} ${tid}`));
  const longest = (of: number[]): number => Math.round(Math.max(0, ...of));
  const processor = tasks.map(({ tdur }) => (tdur ?? 0) / 1000);
  return `longest task ${longest(processor)} ms of processor time (${processor.filter((ms) => ms > 50).length} above 50), ${longest(tasks.map(({ dur }) => (dur ?? 0) / 1000))} ms by the clock; longest frame ${longest(frames)} ms of ${frames.length}`;
}

const drawn = (page: Page): Promise<number> => page.locator(".ec-event [data-appointment]").count();
const say = (text: string): boolean => process.stdout.write(`${text}\n`);

test("a large practice side by side", async ({ browser }) => {
  test.setTimeout(300_000);
  const monday = nextMonday();
  const began = Date.now();
  const { staff, booked } = await seed(monday);
  say(`seeded ${booked.length} appointments of ${DOCTORS} doctors in ${((Date.now() - began) / 1000).toFixed(1)} s`);

  const context = await browser.newContext({ baseURL: URL(), locale: "es-CO", timezoneId: ZONE, viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  await page.goto("/login");
  await page.locator('input[type="email"]').fill(staff.email);
  await page.locator('input[autocomplete="current-password"]').fill(PASSWORD);
  await page.locator("button.primary.block").click();
  await page.locator("a.account").waitFor();
  const doctors = [...new Set(booked.map(({ by }) => by.id))];
  await page.evaluate(([id, ids]) => localStorage.setItem(`cita.desk.${id}`, JSON.stringify(ids)), [staff.id, doctors] as const);

  const today = booked.filter(({ start }) => start.slice(0, 10) === monday);
  let [toFirst, toAll, visible] = [0, 0, 0];
  const loading = await watched(page, async () => {
    await page.goto(`/practice?view=day&date=${monday}`);
    await page.locator(".ec-event [data-appointment]").first().waitFor();
    toFirst = await page.evaluate(() => performance.now());
    // All of the doctors who are in view.
    const names = (await page.locator(".ec-col-head").allTextContents()).slice(0, IN_VIEW).map((text) => text.trim());
    const ids = today.filter(({ by }) => names.includes(by.name)).map(({ id }) => id);
    visible = ids.length;
    await page.waitForFunction((all) => all.every((id) => document.querySelector(`.ec-event [data-appointment="${id}"]`)), ids);
    toAll = await page.evaluate(() => performance.now());
  });
  say(`first appointment after ${Math.round(toFirst)} ms, all ${visible} in view after ${Math.round(toAll)} ms (${await drawn(page)} are drawn of ${today.length} that day); ${loading}`);

  const scrolling = await watched(page, async () => {
    await page.locator(".ec-main").evaluate(async (main) => {
      for (let at = 0; at < 180; at++) {
        await new Promise((done) => requestAnimationFrame(done));
        main.scrollTo(((main.scrollWidth - main.clientWidth) * at) / 180, ((main.scrollHeight - main.clientHeight) * (at % 60)) / 60);
      }
    });
  });
  say(`scrolling: ${scrolling}`);

  // Whoever scrolls to the last doctor finds everybody there.
  const lastName = (await page.locator(".ec-col-head").last().textContent())!.trim();
  const lastOne = today.find(({ by }) => by.name === lastName)!;
  await page.locator(".ec-main").evaluate((main) => main.scrollTo(main.scrollWidth, 0));
  await page.locator(`.ec-event [data-appointment="${lastOne.id}"]`).waitFor();
  await page.locator(".ec-main").evaluate((main) => main.scrollTo(0, 0));

  // All of them in view: what is not, costs less.
  const heads = (await page.locator(".ec-col-head").allTextContents()).slice(0, IN_VIEW).map((text) => text.trim());
  const moved = today.filter(({ by }) => heads.includes(by.name)).slice(0, CHANGES);
  const live = await watched(page, async () => {
    await each(moved, 8, ({ id, start, by }) => rest("POST", `/v1/appointments/${id}/reschedule`, { start: new Date(Date.parse(start) + 20 * 60_000).toISOString() }, by.token));
    const last = moved.at(-1)!;
    const at = new Date(Date.parse(last.start) + 20 * 60_000 - 5 * 3_600_000).toISOString().slice(11, 16);
    await page.waitForFunction(([id, text]) => document.querySelector(`.ec-event [data-appointment="${id}"]`)?.getAttribute("aria-label")?.includes(text!), [last.id, at]);
  });
  say(`${moved.length} live changes at once: ${live}`);

  const paging = await watched(page, async () => {
    const tuesday = booked.find(({ start, by }) => start.slice(0, 10) > monday && heads.includes(by.name))!;
    await page.getByRole("button", { name: "Día siguiente" }).click();
    await page.locator(`.ec-event [data-appointment="${tuesday.id}"]`).waitFor();
  });
  say(`to the next day: ${paging}`);

  const client = await context.newCDPSession(page);
  await client.send("HeapProfiler.collectGarbage");
  const { usedSize } = await client.send("Runtime.getHeapUsage");
  const { nodes } = await client.send("Memory.getDOMCounters");
  say(`heap ${(usedSize / 1_048_576).toFixed(1)} MiB, ${nodes} DOM nodes`);
  await context.close();
});
