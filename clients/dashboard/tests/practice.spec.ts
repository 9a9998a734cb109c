// The working day of a practice: calendar, arrivals and requests, seen from two sides at once.
import type { Page } from "@playwright/test";
import { DEMO_PASSWORD, PASSWORD, PHONE, accessible, book, expect, live, login, practice, register, rest, starts, test, type Person, type Practice } from "./clinic";
import { clock, dateIn, drag, event, later, morning } from "./grid";

const ADMIN = "admin@cita.example";
interface Item { id: string; rev: number; status: string; start: string; end: string; patientName: string; notes?: string }

const get = (id: string, who: Person): Promise<Item> => rest<Item>("GET", `/v1/appointments/${id}`, undefined, who.token);

/** A receptionist for these practices. */
async function reception(...practices: Practice[]): Promise<Person> {
  const admin = await login(ADMIN, DEMO_PASSWORD);
  const person = await register("patient", "Recepción");
  await rest("PATCH", `/v1/admin/users/${person.id}`, { role: "staff" }, admin.token);
  for (const { doctor } of practices) await rest("PUT", `/v1/admin/doctors/${doctor.id}/staff`, { staff: [person.id] }, admin.token);
  // The change of role has ended the session.
  return login(person.email, PASSWORD);
}

test("a booking appears in the open calendar, and a drag reaches the patient", async ({ stage }) => {
  const at = await practice();
  const patient = await register("patient");
  const start = await morning(at);
  const page = await stage.open(at.doctor);
  await page.goto(`/practice?view=week&date=${dateIn(start)}`);
  await expect(page.locator(".ec-body")).toBeVisible();
  await live(page);

  const { id } = await book(at, patient, start);
  await expect(event(page, id)).toHaveAccessibleName(new RegExp(`${clock(start)}, ${patient.name}, Consulta, Confirmada`));
  await expect(page.locator('[role="status"]').first()).toContainText(patient.name);
  await expect(page.locator(".ec-event.flash", { hasText: patient.name })).toBeVisible();
  await accessible(page);

  await drag(page, id, 60);
  await expect(event(page, id)).toHaveAccessibleName(new RegExp(clock(later(start, 60))));
  await expect.poll(async () => (await get(id, patient)).start).toBe(later(start, 60));
  // And back, as it says.
  await page.getByRole("button", { name: "Deshacer" }).click();
  await expect.poll(async () => (await get(id, patient)).start).toBe(start);
  await expect(event(page, id)).toHaveAccessibleName(new RegExp(clock(start)));
});

test("a drag that is refused goes back and says why; a rule can be set aside with a reason", async ({ stage }) => {
  const at = await practice();
  const [one, other] = [await register("patient"), await register("patient")];
  const start = await morning(at);
  const { id } = await book(at, one, start);
  await book(at, other, later(start, 60));
  const page = await stage.open(at.doctor);
  await page.goto(`/practice?view=day&date=${dateIn(start)}`);

  await drag(page, id, 60);
  await expect(page.locator(".toast", { hasText: "Esa hora ya está ocupada" })).toBeVisible();
  await expect(event(page, id)).toHaveAccessibleName(new RegExp(clock(start)));
  expect((await get(id, one)).start).toBe(start);

  // From now on closed after eleven: the practice decides, with a reason that stays.
  await rest("PUT", `/v1/doctors/${at.doctor.id}/availability`, { timeZone: at.zone, weekly: ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"].map((weekday) => ({ weekday, from: "06:00", to: "11:00" })) }, at.doctor.token);
  await page.reload();
  await drag(page, id, 120);
  const dialog = page.getByRole("dialog");
  await expect(dialog).toContainText("fuera del horario");
  await expect(event(page, id)).toHaveAccessibleName(new RegExp(clock(start)));
  await accessible(page);
  await dialog.getByLabel("Motivo").fill("El paciente viaja");
  await dialog.getByRole("button", { name: "Mover de todas formas" }).click();
  await expect.poll(async () => (await get(id, one)).start).toBe(later(start, 120));
});

test("the keyboard alone moves an appointment, and writes notes", async ({ stage }) => {
  const at = await practice();
  const patient = await register("patient");
  const start = await morning(at);
  const { id } = await book(at, patient, start);
  const page = await stage.open(at.doctor);
  await page.goto(`/practice?view=week&date=${dateIn(start)}`);
  await event(page, id).focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: patient.name });
  await expect(dialog).toBeVisible();
  await dialog.getByLabel("Notas").fill("Trae exámenes");
  await dialog.getByRole("button", { name: "Guardar notas" }).press("Enter");
  await expect.poll(async () => (await get(id, at.doctor)).notes).toBe("Trae exámenes");
  await dialog.getByText("Historial").press("Enter");
  await expect(dialog).toContainText("por el paciente");
  await accessible(page);

  await dialog.getByRole("button", { name: "Mover…" }).press("Enter");
  const move = page.getByRole("dialog", { name: /Mover la cita/ });
  await move.getByRole("button", { name: "Otra hora" }).press("Enter");
  await move.getByLabel("Hora", { exact: true }).fill(clock(later(start, 90)));
  await move.getByLabel("Hora", { exact: true }).press("Tab");
  await accessible(page);
  await move.getByRole("button", { name: "Mover", exact: true }).press("Enter");
  await expect(move).toBeHidden();
  await expect.poll(async () => (await get(id, patient)).start).toBe(later(start, 90));
  await expect(dialog).toContainText(clock(later(start, 90)));
  await page.keyboard.press("Escape");
  await expect(dialog).toBeHidden();
  await expect(event(page, id)).toBeFocused();
});

test("requests arrive live and are answered with one press", async ({ stage }) => {
  const at = await practice({ requiresApproval: true });
  const [one, other] = [await register("patient"), await register("patient")];
  const times = await starts(at);
  const page = await stage.open(at.doctor);
  await page.goto("/practice/requests");
  await expect(page.getByText("No hay solicitudes pendientes")).toBeVisible();
  await accessible(page);
  const first = await book(at, one, times[0]!);
  const second = await book(at, other, times[4]!);
  await expect(page).toHaveTitle(/^\(2\)/);
  await accessible(page);
  await page.getByRole("button", { name: `Aprobar: ${one.name}` }).click();
  await expect.poll(async () => (await get(first.id, one)).status).toBe("booked");
  await page.getByRole("button", { name: `Rechazar: ${other.name}` }).click();
  await expect.poll(async () => (await get(second.id, other)).status).toBe("cancelled");
  await expect(page.getByText("No hay solicitudes pendientes")).toBeVisible();
});

test("a request far ahead is answered in its dialog, and stays answered", async ({ stage }) => {
  const at = await practice({ requiresApproval: true, horizonDays: 200 });
  const patient = await register("patient");
  const far = new Date(Date.now() + 120 * 86_400_000).toISOString().slice(0, 10);
  const { id } = await book(at, patient, `${far}T15:00:00Z`);
  const page = await stage.open(at.doctor);
  await page.goto("/practice/requests");
  await page.getByRole("button", { name: `Ver la solicitud de ${patient.name}` }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Rechazar…" }).click();
  await dialog.getByLabel("¿Por qué se rechaza?").fill("El consultorio se muda");
  // What was typed survives a slip.
  await page.mouse.click(5, 5);
  await page.keyboard.press("Escape");
  await page.getByRole("dialog", { name: "Hay cambios sin guardar" }).getByRole("button", { name: "Volver" }).click();
  await dialog.getByRole("button", { name: "Rechazar solicitud" }).click();
  await expect(page.getByText("No hay solicitudes pendientes")).toBeVisible();
  await expect.poll(async () => (await get(id, patient)).status).toBe("cancelled");
  await expect(page.locator(".toast", { hasText: patient.name })).toBeVisible();
  await expect(page.getByText("No hay solicitudes pendientes")).toBeVisible();
});

/** A zone in which it is about noon now: today has room on both sides. */
function noonZone(): string {
  const ahead = 12 - new Date().getUTCHours();
  // These names count the other way.
  return ahead === 0 ? "Etc/GMT" : `Etc/GMT${ahead > 0 ? "-" : "+"}${Math.abs(ahead)}`;
}

/** A walk-in of today who should have come a moment ago, whatever the hour of the test. */
async function lateToday({ doctor, serviceId }: Practice, name: string, minutes = 15): Promise<Item> {
  const start = new Date(Math.floor((Date.now() - minutes * 60_000) / 300_000) * 300_000).toISOString();
  return rest<Item>("POST", "/v1/appointments", { doctorId: doctor.id, serviceId, start, walkIn: { name, phone: "300 123 45 67" }, override: { reason: "Llegó sin cita" } }, doctor.token);
}

test("the board of arrivals moves on, on every device, and back", async ({ stage }) => {
  const at = await practice();
  const staff = await reception(at);
  const { id } = await lateToday(at, "Elvira Solano");
  const timezoneId = noonZone();
  const [desk, room] = [await stage.open(staff, { timezoneId }), await stage.open(at.doctor, { ...PHONE, colorScheme: "dark", timezoneId })];
  const card = (page: Page, column: string) => page.getByRole("region", { name: column }).locator(`[data-appointment-card="${id}"]`);
  for (const page of [desk, room]) {
    await page.goto("/practice/board");
    await expect(card(page, "Esperadas")).toContainText("tarde");
    await accessible(page);
  }
  await desk.getByRole("button", { name: "Llegó: Elvira Solano" }).click();
  for (const page of [desk, room]) await expect(card(page, "En sala")).toContainText("Espera");
  await room.getByRole("button", { name: "Atendida: Elvira Solano" }).click();
  for (const page of [desk, room]) await expect(card(page, "Atendidas")).toBeVisible();
  await room.getByRole("button", { name: "Deshacer: Elvira Solano" }).click();
  for (const page of [desk, room]) await expect(card(page, "En sala")).toBeVisible();
  await expect.poll(async () => (await get(id, at.doctor)).status).toBe("arrived");
});

test("the reception sees doctors side by side, books a walk-in for one of them, and keeps appointments with their doctor", async ({ stage }) => {
  const [one, other] = [await practice({}, "Dra. Abril Uno"), await practice({}, "Dr. Bernal Dos")];
  const staff = await reception(one, other);
  const patient = await register("patient");
  const start = await morning(one);
  const { id } = await book(one, patient, start);
  const page = await stage.open(staff);
  await page.goto(`/practice?date=${dateIn(start)}`);
  await expect(page.locator(".ec-col-head")).toHaveText(["Dra. Abril Uno", "Dr. Bernal Dos"]);
  await expect(event(page, id)).toBeVisible();
  await accessible(page);

  await drag(page, id, 0, 1);
  await expect(page.locator(".toast", { hasText: "otro profesional" })).toBeVisible();
  expect((await get(id, patient)).start).toBe(start);

  // A press on a free time of the second column.
  const column = (await page.locator(".ec-body .ec-day").nth(1).boundingBox())!;
  const row = (await event(page, id).boundingBox())!;
  await page.mouse.click(column.x + column.width / 2, row.y + 4);
  const dialog = page.getByRole("dialog", { name: "Nueva cita" });
  await expect(dialog.getByLabel("Profesional")).toHaveValue(other.doctor.id);
  await dialog.getByLabel("Nombre y apellidos").fill("Ramiro Sin Cuenta");
  await dialog.getByLabel("Teléfono").fill("300 765 43 21");
  await accessible(page);
  await dialog.getByRole("button", { name: "Agendar" }).click();
  await expect(dialog).toBeHidden();
  const booked = page.getByRole("button", { name: /Ramiro Sin Cuenta/ });
  await expect(booked).toBeVisible();
  await booked.click();
  await expect(page.getByRole("dialog", { name: "Ramiro Sin Cuenta" })).toContainText("300 765 43 21");
  const { items } = await rest<{ items: Item[] }>("GET", `/v1/appointments?doctorId=${other.doctor.id}`, undefined, staff.token);
  expect(items.map(({ start, patientName }) => [start, patientName])).toEqual([[start, "Ramiro Sin Cuenta"]]);
});

test("a taken time offers others, and an account is found by its address", async ({ stage }) => {
  const at = await practice();
  const staff = await reception(at);
  const patient = await register("patient");
  const start = await morning(at);
  const page = await stage.open(staff);
  await page.goto(`/practice?view=week&date=${dateIn(start)}`);
  await page.getByRole("button", { name: "Nueva cita" }).click();
  const dialog = page.getByRole("dialog", { name: "Nueva cita" });
  await dialog.getByRole("button", { name: "Con cuenta" }).click();
  await dialog.getByLabel("Correo de la cuenta").fill("nadie@prueba.example");
  await dialog.getByRole("button", { name: "Otra hora" }).click();
  await dialog.getByLabel("Fecha").fill(dateIn(start));
  await dialog.getByLabel("Hora", { exact: true }).fill(clock(start));
  await dialog.getByLabel("Hora", { exact: true }).press("Tab");
  await dialog.getByRole("button", { name: "Agendar" }).click();
  await expect(dialog).toContainText("Nadie tiene una cuenta confirmada");
  await dialog.getByRole("button", { name: "Sin cuenta" }).click();
  await dialog.getByLabel("Nombre y apellidos").fill("Berta Luna");
  await book(at, patient, start);
  await dialog.getByRole("button", { name: "Agendar" }).click();
  await expect(dialog).toContainText("Esa hora ya está ocupada");
  await accessible(page);
  await dialog.locator(".notice .btn").first().click();
  await dialog.getByRole("button", { name: "Agendar" }).click();
  await expect(dialog).toBeHidden();
  await expect(page.getByRole("button", { name: /Berta Luna/ })).toBeVisible();
});

test("a service that was chosen stays so when the hours are read anew", async ({ stage }) => {
  const at = await practice();
  const { id } = await rest<{ id: string }>("POST", `/v1/doctors/${at.doctor.id}/services`, { name: "Control", durationMinutes: 20 }, at.doctor.token);
  const page = await stage.open(at.doctor);
  await page.goto("/practice?view=week");
  await page.getByRole("button", { name: "Nueva cita" }).click();
  const service = page.getByRole("dialog").getByLabel("Servicio");
  await service.selectOption(id);
  await rest("PATCH", `/v1/doctors/${at.doctor.id}/services/${at.serviceId}`, { rev: 1, name: "Primera consulta" }, at.doctor.token);
  // The page asks once: not before the server tells it.
  await expect.poll(() => rest("GET", `/v1/doctors/${at.doctor.id}/services`)).toMatchObject({ items: expect.arrayContaining([expect.objectContaining({ name: "Primera consulta" })]) });
  // Somebody comes back to the page after a while.
  await page.evaluate(() => {
    const now = Date.now;
    Date.now = () => now() + 120_000;
    dispatchEvent(new Event("focus"));
  });
  await expect(service.locator("option", { hasText: "Primera consulta" })).toBeAttached();
  await expect(service).toHaveValue(id);
});

test("an admin who picked nobody is asked to pick, not told that there is nothing", async ({ stage }) => {
  const page = await stage.open({ email: ADMIN, password: DEMO_PASSWORD });
  for (const path of ["/practice", "/practice/board", "/practice/requests"]) {
    await page.goto(path);
    await expect(page.getByText("Elija un profesional para ver su agenda")).toBeVisible();
  }
  await accessible(page);
});

test("a phone begins with the list, in English as well", async ({ stage }) => {
  const at = await practice();
  const patient = await register("patient");
  const [start] = await starts(at);
  const { id } = await book(at, patient, start!);
  const page = await stage.open(at.doctor, { ...PHONE, colorScheme: "dark" });
  await page.getByLabel("Idioma").selectOption("en");
  await page.goto("/practice");
  const item = page.locator(`.item[data-appointment="${id}"]`);
  await expect(item).toContainText("Confirmed");
  await accessible(page);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  await item.tap();
  const dialog = page.getByRole("dialog", { name: patient.name });
  await dialog.getByRole("button", { name: "Cancel appointment…" }).tap();
  await dialog.getByLabel("Why is it cancelled?").fill("The doctor is ill");
  await accessible(page);
  await dialog.getByRole("button", { name: "Cancel the appointment" }).tap();
  await expect(dialog).toContainText("Cancelled");
  await expect.poll(async () => (await get(id, patient)).status).toBe("cancelled");
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Day", exact: true }).tap();
  await expect(page.locator(".ec-body")).toBeVisible();
  await accessible(page);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
});

test("the calendar opens without a network, and says how old it is", async ({ stage }) => {
  const at = await practice();
  const patient = await register("patient");
  const [start] = await starts(at);
  await book(at, patient, start!);
  const page = await stage.open(at.doctor);
  stage.expected.push(/ERR_INTERNET_DISCONNECTED/);
  await page.goto("/practice?view=week");
  await page.goto("/practice?view=agenda");
  await expect(page.getByText(patient.name)).toBeVisible();
  // What is seen is kept a moment later, and the page itself by its worker. Other pages look at fewer days, and leave it alone.
  await expect.poll(() => page.evaluate(() => Object.keys(localStorage).some((name) => name.includes("calendar.")))).toBe(true);
  await page.evaluate(async () => (await navigator.serviceWorker.ready).active);
  await expect.poll(() => page.evaluate(() => navigator.serviceWorker.controller !== null)).toBe(true);
  await page.goto("/practice/board");
  await expect(page.getByText("Hoy no hay citas")).toBeVisible();
  await page.context().setOffline(true);
  await page.goto("/practice?view=agenda");
  await expect(page.getByText(patient.name)).toBeVisible();
  await expect(page.getByText(/Esto es lo último que se supo/)).toBeVisible();
  // Of days that were never asked for nothing is said but that.
  await page.getByRole("button", { name: "Siete días después" }).click();
  await expect(page.getByText("Estos días aún no llegan")).toBeVisible();
  await expect(page.getByText("No hay citas en estos días")).toBeHidden();
  await page.getByRole("button", { name: "Siete días antes" }).click();
  await expect(page.getByText(patient.name)).toBeVisible();
  await page.getByRole("button", { name: "Día", exact: true }).click();
  await page.getByLabel("Ir a una fecha").fill(dateIn(start!));
  await expect(page.getByRole("button", { name: new RegExp(patient.name) })).toBeVisible();
});
