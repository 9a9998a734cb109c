// What the journeys share: people with accounts of their own, made over REST, and pages that fail a test by an error, a refused resource of the policy, or a barrier.
import AxeBuilder from "@axe-core/playwright";
import { expect, test as base, type Browser, type BrowserContext, type BrowserContextOptions, type Page } from "@playwright/test";
import { randomUUID } from "node:crypto";

export const URL = (): string => process.env.CITA_TEST_SERVER!;
export const PASSWORD = "una frase larga y rara 7";
export const DEMO_PASSWORD = "demo-clinica-2026";

export interface Person {
  id: string;
  name: string;
  email: string;
  token: string;
}
export interface Practice {
  doctor: Person;
  serviceId: string;
  zone: string;
}

/** A request over REST as somebody; a refusal fails the test. */
export async function rest<T>(method: string, path: string, body?: object, token?: string): Promise<T> {
  const response = await fetch(URL() + path, {
    method,
    headers: {
      ...(body && { "Content-Type": "application/json" }),
      ...(token && { Authorization: `Bearer ${token}` }),
      ...(method !== "GET" && { "Idempotency-Key": randomUUID() }),
    },
    body: body && JSON.stringify(body),
  });
  const data = await response.json();
  expect(response.ok, `${method} ${path}: ${JSON.stringify(data)}`).toBe(true);
  return data as T;
}

let made = 0;
export async function register(role: "patient" | "doctor", name = `${role === "doctor" ? "Dra. Prueba" : "Paciente"} ${++made} ${randomUUID().slice(0, 6)}`): Promise<Person> {
  const email = `${randomUUID()}@prueba.example`;
  const answer = await rest<{ accessToken: string; user: { id: string } }>("POST", "/v1/auth/register", { email, password: PASSWORD, name, role, timeZone: "America/Bogota", locale: "es-CO" });
  return { id: answer.user.id, name, email, token: answer.accessToken };
}

export async function login(email: string, password = DEMO_PASSWORD): Promise<Person> {
  const answer = await rest<{ accessToken: string; user: { id: string; name: string } }>("POST", "/v1/auth/login", { email, password });
  return { id: answer.user.id, name: answer.user.name, email, token: answer.accessToken };
}

const WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/** A doctor who receives every day from 6 to 22, with one service of 30 minutes. */
export async function practice(service: object = {}, name?: string): Promise<Practice> {
  const doctor = await register("doctor", name);
  const zone = "America/Bogota";
  await rest("PUT", `/v1/doctors/${doctor.id}/availability`, { timeZone: zone, weekly: WEEKDAYS.map((weekday) => ({ weekday, from: "06:00", to: "22:00" })) }, doctor.token);
  const { id } = await rest<{ id: string }>("POST", `/v1/doctors/${doctor.id}/services`, { name: "Consulta", durationMinutes: 30, minNoticeMinutes: 0, horizonDays: 60, ...service }, doctor.token);
  return { doctor, serviceId: id, zone };
}

/** The free starts of a practice from tomorrow on. */
export async function starts({ doctor, serviceId }: Practice, days = 2): Promise<string[]> {
  const date = (ahead: number): string => new Date(Date.now() + ahead * 86_400_000 - 5 * 3_600_000).toISOString().slice(0, 10);
  const { slots } = await rest<{ slots: { start: string }[] }>("GET", `/v1/doctors/${doctor.id}/slots?serviceId=${serviceId}&from=${date(1)}&to=${date(days)}`);
  return slots.map((slot) => slot.start);
}

export async function book({ doctor, serviceId }: Practice, patient: Person, start: string): Promise<{ id: string; rev: number }> {
  return rest("POST", "/v1/appointments", { doctorId: doctor.id, serviceId, start }, patient.token);
}

/** What a browser complains of, to be empty at the end of a test. */
function complaints(page: Page, found: string[]): void {
  page.on("console", (message) => {
    if (message.type() === "error" || /Content Security Policy/i.test(message.text())) found.push(message.text());
  });
  page.on("pageerror", (error) => found.push(String(error)));
}

export interface Stage {
  /** A browser of its own for somebody; logged in where a person is given. */
  open: (who?: { email: string; password?: string }, options?: BrowserContextOptions) => Promise<Page>;
  /** Complaints that a test brings about on purpose. */
  expected: RegExp[];
}

export const test = base.extend<{ stage: Stage }>({
  stage: async ({ browser }: { browser: Browser }, use) => {
    const found: string[] = [];
    const expected: RegExp[] = [];
    const contexts: BrowserContext[] = [];
    await use({
      expected,
      open: async (who, options = {}) => {
        const context = await browser.newContext({ baseURL: URL(), locale: "es-CO", timezoneId: "America/Bogota", reducedMotion: "reduce", viewport: { width: 1280, height: 860 }, ...options });
        contexts.push(context);
        const page = await context.newPage();
        complaints(page, found);
        if (who) await enter(page, who.email, who.password ?? PASSWORD);
        return page;
      },
    });
    for (const context of contexts) await context.close();
    expect(found.filter((text) => !expected.some((pattern) => pattern.test(text)))).toEqual([]);
  },
});

/** Logs in as a person does. */
export async function enter(page: Page, email: string, password: string): Promise<void> {
  await page.goto("/login");
  await page.locator('input[type="email"]').fill(email);
  await page.locator('input[autocomplete="current-password"]').fill(password);
  await page.locator('button.primary.block').click();
  await expect(page.locator("a.account")).toBeVisible();
}

/** No barrier that axe can find (WCAG 2.2 A and AA), in what is shown now, or in a part of it. */
export async function accessible(page: Page, within = "html"): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).include(within).withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]).analyze();
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`)).toEqual([]);
}

/** Until every change is told: what a page remembers is shown before that. */
export const live = (page: Page): Promise<void> => expect(page.locator('[data-fresh="true"]').first()).toBeAttached();

export const PHONE = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true } as const;
export { expect };
