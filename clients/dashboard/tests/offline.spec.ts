// What works without a network, and what is never claimed then; and how much has to be loaded first.
import { book, expect, live, practice, register, rest, starts, test } from "./clinic";

test("the last known agenda opens without a network, and says that it is old", async ({ stage }) => {
  const clinic = await practice();
  const patient = await register("patient");
  const [start] = await starts(clinic);
  const { id, rev } = await book(clinic, patient, start!);
  const page = await stage.open(patient);
  stage.expected.push(/ERR_INTERNET_DISCONNECTED/);
  await page.goto("/appointments");
  const agenda = page.getByRole("main");
  await expect(agenda.getByText(clinic.doctor.name).first()).toBeVisible();
  await live(page);
  // It loads every file of the dashboard first.
  await page.evaluate(async () => (await navigator.serviceWorker.ready).active);
  await expect.poll(() => page.evaluate(() => navigator.serviceWorker.controller !== null), { timeout: 30_000 }).toBe(true);

  await page.context().setOffline(true);
  await page.reload();
  await expect(agenda.getByText(clinic.doctor.name).first()).toBeVisible();
  await expect(page.getByText("Esto es lo último que se supo")).toBeVisible();
  // Changed meanwhile: what is shown is not called fresh, and what comes back is right.
  await rest("POST", `/v1/appointments/${id}/cancel`, { rev }, patient.token);
  await page.context().setOffline(false);
  await expect(page.getByText("En vivo", { exact: true })).toBeVisible();
  await expect(page.getByText("Esto es lo último que se supo")).toBeHidden();
  await expect(agenda.getByText("Cancelada").first()).toBeVisible();

  // Nobody else finds it on this device.
  await page.getByRole("button", { name: "Cerrar sesión" }).click();
  await expect(page.getByRole("link", { name: "Iniciar sesión" })).toBeVisible();
  expect(await page.evaluate(() => Object.keys(localStorage).filter((name) => name.startsWith("cita.agenda") || name === "cita.session"))).toEqual([]);
});

test("it can be installed, and what is loaded first is small", async ({ stage }) => {
  const page = await stage.open();
  const policy = (await page.goto("/"))!.headers()["content-security-policy"];
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toContain("unsafe");
  await page.waitForLoadState("networkidle");
  const manifest = await page.evaluate(async () => (await fetch("/manifest.webmanifest")).json());
  expect(manifest.icons.length).toBeGreaterThan(2);
  const bytes = await page.evaluate(() =>
    [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
      .filter((entry) => /\/$|\/assets\/|\.svg$/.test((entry as PerformanceResourceTiming).name))
      .reduce((sum, entry) => sum + (entry as PerformanceResourceTiming).encodedBodySize, 0),
  );
  expect(bytes).toBeGreaterThan(10_000);
  expect(bytes).toBeLessThan(150_000);
});
