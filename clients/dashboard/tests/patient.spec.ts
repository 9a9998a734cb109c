// What a patient does with appointments: moves and cancels them, waits for a time, reviews a visit.
import type { Page } from "@playwright/test";
import { PASSWORD, PHONE, accessible, book, enter, expect, live, practice, register, rest, starts, test } from "./clinic";
import { visited } from "./visits";

const DARK_PHONE = { ...PHONE, colorScheme: "dark" } as const;
const slot = (page: Page, start: string) => page.locator(`button.time[data-start="${start}"]`);
const dialog = (page: Page) => page.getByRole("dialog");
const clock = (start: string): string => new Intl.DateTimeFormat("es-CO", { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: "America/Bogota" }).format(new Date(start));
const item = (page: Page, start: string) => page.locator("li.item", { hasText: clock(start) });

test("an appointment is booked, moved and cancelled; the other device sees it", async ({ stage }) => {
  const place = await practice();
  const [start, , , later] = (await starts(place)) as [string, string, string, string];
  const patient = await register("patient");
  const [page, device] = await Promise.all([stage.open(patient), stage.open(patient)]);
  await Promise.all([page.goto("/appointments"), device.goto("/appointments")]);
  await expect(page.getByText("No tiene citas próximas")).toBeVisible();
  await book(place, patient, start);
  await expect(item(page, start)).toContainText("Confirmada");

  await item(page, start).getByRole("button", { name: "Cambiar hora" }).click();
  await slot(page, later).click();
  await dialog(page).getByRole("button", { name: "Cambiar a esta hora" }).click();
  await expect(dialog(page)).toHaveCount(0);
  await expect(item(page, later)).toBeVisible();
  await expect(item(device, later)).toBeVisible();

  await item(device, later).getByRole("button", { name: "Detalles" }).click();
  await expect(dialog(device).locator("ol li")).toHaveCount(2);
  await expect(dialog(device).locator("ol li").first()).toContainText("Cambiada de hora");

  await item(page, later).getByRole("button", { name: "Cancelar" }).click();
  await dialog(page).getByLabel("Motivo").fill("Viaje de trabajo");
  await dialog(page).getByRole("button", { name: "Cancelar la cita" }).click();
  await expect(item(page, later)).toContainText("Cancelada");
  // An open dialog follows what is told, too.
  await expect(dialog(device)).toContainText("Viaje de trabajo");
  await expect(dialog(device).locator("ol li")).toHaveCount(3);
});

test("what the practice changes is said aloud", async ({ stage }) => {
  const place = await practice();
  const [start] = (await starts(place)) as [string];
  const patient = await register("patient");
  const { id, rev } = await book(place, patient, start);
  const page = await stage.open(patient);
  await page.goto("/appointments");
  await live(page);
  await expect(item(page, start)).toContainText("Confirmada");
  await rest("POST", `/v1/appointments/${id}/cancel`, { rev }, place.doctor.token);
  await expect(page.getByRole("status").filter({ hasText: place.doctor.name })).toContainText(/cancelada/i);
});

test("a move that loses the race brings the old time back, and offers others", async ({ stage }) => {
  const place = await practice();
  const [start, , wanted] = (await starts(place)) as [string, string, string];
  const [patient, faster] = await Promise.all([register("patient"), register("patient")]);
  await book(place, patient, start);
  const page = await stage.open();
  // Somebody is faster by a moment, before the page can know.
  await page.routeWebSocket(/\/v1\/ws/, (line) => {
    const server = line.connectToServer();
    let isHeldBack = false;
    server.onMessage((message) => !isHeldBack && line.send(message));
    line.onMessage(async (message) => {
      if (String(message).includes('"type":"appointment.reschedule"') && String(message).includes(wanted)) {
        isHeldBack = true;
        await book(place, faster, wanted);
        isHeldBack = false;
      }
      server.send(message);
    });
  });
  await enter(page, patient.email, PASSWORD);
  await page.goto("/appointments");
  await item(page, start).getByRole("button", { name: "Cambiar hora" }).click();
  await slot(page, wanted).click();
  await dialog(page).getByRole("button", { name: "Cambiar a esta hora" }).click();
  await expect(dialog(page).getByRole("alert")).toContainText("Otra persona acaba de tomar esta hora. Conserva la hora que tenía.");
  await expect(item(page, start)).toBeVisible();
  await dialog(page).locator("ul.near button").first().click();
  await expect(dialog(page)).toHaveCount(0);
  await expect(item(page, start)).toHaveCount(0);
});

test("who is too late is told before, not after", async ({ stage }) => {
  const place = await practice({ cancelCutoffMinutes: 43_200, rescheduleCutoffMinutes: 43_200 });
  const [start] = (await starts(place)) as [string];
  const patient = await register("patient");
  await book(place, patient, start);
  const page = await stage.open(patient);
  await page.goto("/appointments");
  await item(page, start).getByRole("button", { name: "Cancelar" }).click();
  await expect(dialog(page)).toContainText("Llame al consultorio");
  await page.keyboard.press("Escape");
  await item(page, start).getByRole("button", { name: "Cambiar hora" }).click();
  await expect(dialog(page)).toContainText("Llame al consultorio");
});

test("a time that is kept can be gone on with, or released", async ({ stage }) => {
  const place = await practice();
  const [start, other] = (await starts(place)) as [string, string];
  const patient = await register("patient");
  const hold = (at: string) => rest("POST", "/v1/holds", { doctorId: place.doctor.id, serviceId: place.serviceId, start: at }, patient.token);
  await Promise.all([hold(start), hold(other)]);
  const page = await stage.open(patient);
  await page.goto("/appointments");
  const held = page.locator("li.held");
  await expect(held).toHaveCount(2);
  await accessible(page);
  await held.filter({ hasText: `${clock(other)}–` }).getByRole("button", { name: "Soltar" }).click();
  await expect(held).toHaveCount(1);
  await held.getByRole("link", { name: "Terminar la reserva" }).click();
  await dialog(page).getByRole("button", { name: "Confirmar la cita" }).click();
  await dialog(page).getByRole("link", { name: "Mis citas" }).click();
  await expect(item(page, start)).toContainText("Confirmada");
  await expect(held).toHaveCount(0);
});

test("who waits is offered what becomes free, wherever they are, and takes it", async ({ stage }) => {
  const place = await practice();
  const [start, other] = (await starts(place)) as [string, string];
  const [patient, owner] = await Promise.all([register("patient"), register("patient")]);
  const [first, second] = await Promise.all([book(place, owner, start), book(place, owner, other)]);
  const page = await stage.open(patient);
  await page.goto(`/doctors/${place.doctor.id}`);
  await page.getByRole("button", { name: "Entrar a la lista de espera" }).click();
  await dialog(page).getByRole("button", { name: "Entrar a la lista" }).click();
  await expect(dialog(page)).toHaveCount(0);
  await page.goto("/appointments");
  await expect(page.getByRole("heading", { name: "Lista de espera" })).toBeVisible();
  await page.goto("/");
  await rest("POST", `/v1/appointments/${first.id}/cancel`, {}, owner.token);
  const offer = page.getByRole("region", { name: "Ofertas de la lista de espera" });
  await expect(offer).toContainText(clock(start));
  await expect(offer.getByRole("timer")).toHaveText(/[45]:\d\d/);
  await accessible(page);
  await offer.getByRole("button", { name: "Dejar pasar" }).click();
  await expect(offer).toHaveCount(0);
  // It is shown at once, and true once it was answered.
  await expect(page.locator(".toast", { hasText: "Usted sigue en la lista" })).toBeVisible();
  await rest("POST", `/v1/appointments/${second.id}/cancel`, {}, owner.token);
  await expect(offer).toContainText(clock(other));
  await offer.getByRole("button", { name: "Aceptar" }).click();
  await expect(offer).toHaveCount(0);
  await page.goto("/appointments");
  await expect(item(page, other)).toContainText("Confirmada");
  await expect(page.getByRole("heading", { name: "Lista de espera" })).toHaveCount(0);
});

test("a visit is reviewed, changed and answered; the doctor's page tells it at once", async ({ stage }) => {
  const place = await practice();
  const patient = await register("patient");
  await visited(place, patient);
  const [page, reader] = await Promise.all([stage.open(patient), stage.open(await register("patient"))]);
  await Promise.all([page.goto("/appointments"), reader.goto(`/doctors/${place.doctor.id}`)]);
  await expect(reader.getByText("Aún no hay reseñas", { exact: false })).toBeVisible();
  const review = page.getByRole("button", { name: "Calificar la visita" });
  await review.click();
  await dialog(page).getByRole("button", { name: "Publicar" }).click();
  await expect(dialog(page)).toContainText("Elija de una a cinco estrellas");
  await dialog(page).getByRole("radio", { name: "4 estrellas" }).focus();
  await page.keyboard.press("Space");
  await dialog(page).getByLabel("Cuente su experiencia").fill("Puntual y clara.");
  await accessible(page);
  await dialog(page).getByRole("button", { name: "Publicar" }).click();
  await expect(dialog(page)).toHaveCount(0);
  await expect(reader.locator("#reviews")).toContainText("Puntual y clara.");
  await expect(reader.locator("header.who")).toContainText("4");

  const { items } = await rest<{ items: { id: string }[] }>("GET", `/v1/doctors/${place.doctor.id}/reviews`);
  await rest("PUT", `/v1/reviews/${items[0]!.id}/reply`, { text: "Gracias por venir." }, place.doctor.token);
  await expect(reader.locator("#reviews")).toContainText("Gracias por venir.");

  await review.click();
  await expect(dialog(page)).toContainText("Gracias por venir.");
  await dialog(page).getByRole("radio", { name: "5 estrellas" }).check();
  await dialog(page).getByRole("button", { name: "Guardar los cambios" }).click();
  await expect(dialog(page)).toHaveCount(0);
  await expect(reader.locator("header.who")).toContainText("5");

  await reader.getByRole("button", { name: "Reportar" }).click();
  await dialog(reader).getByLabel("¿Qué tiene de malo?").fill("No habla de la visita.");
  await accessible(reader);
  await dialog(reader).getByRole("button", { name: "Reportar" }).click();
  await expect(reader.getByText("Gracias. La administración la va a revisar.")).toBeVisible();
});

test("older reviews are shown when somebody reads on", async ({ stage }) => {
  const place = await practice();
  const patient = await register("patient");
  for (let hours = 1; hours <= 6; hours++) {
    const { id } = await visited(place, patient, hours);
    await rest("POST", `/v1/doctors/${place.doctor.id}/reviews`, { appointmentId: id, rating: 5, text: `Visita ${hours}` }, patient.token);
  }
  const page = await stage.open();
  await page.goto(`/doctors/${place.doctor.id}`);
  const reviews = page.locator("#reviews li");
  await expect(reviews).toHaveCount(5);
  await page.getByRole("button", { name: "Ver más reseñas" }).click();
  await expect(reviews).toHaveCount(6);
  await expect(page.getByRole("button", { name: "Ver más reseñas" })).toHaveCount(0);
});

test("in English", async ({ stage }) => {
  const place = await practice();
  const [start] = (await starts(place)) as [string];
  const patient = await register("patient");
  await book(place, patient, start);
  const page = await stage.open(undefined, { locale: "en-GB" });
  await page.goto("/");
  await page.getByLabel("Language").first().selectOption("en");
  await enter(page, patient.email, PASSWORD);
  await page.goto("/appointments");
  await expect(item(page, start)).toContainText("Confirmed");
  await item(page, start).getByRole("button", { name: "Cancel" }).click();
  await dialog(page).getByRole("button", { name: "Cancel the appointment" }).click();
  await expect(item(page, start)).toContainText("Cancelled");
});

for (const [name, options] of [["wide and light", {}], ["on a phone in the dark", DARK_PHONE]] as const) {
  test(`no barriers, ${name}`, async ({ stage }) => {
    const place = await practice({ stepMinutes: 240 });
    const [start] = (await starts(place)) as [string];
    const patient = await register("patient");
    await Promise.all([visited(place, patient), book(place, patient, start)]);
    const page = await stage.open(patient, { timezoneId: "Europe/Madrid", ...options });
    await page.goto("/appointments");
    const open = async (action: string): Promise<void> => {
      await page.locator("li.item").first().getByRole("button", { name: action }).click();
      await expect(dialog(page)).toBeVisible();
    };
    await expect(page.locator("li.item")).toHaveCount(2);
    await accessible(page);
    expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0);
    await open("Cambiar hora");
    await expect(dialog(page).locator("button.time").first()).toBeVisible();
    await accessible(page);
    await page.keyboard.press("Escape");
    await open("Cancelar");
    await accessible(page);
    await page.keyboard.press("Escape");
    await open("Detalles");
    await expect(dialog(page).locator("ol li").first()).toBeVisible();
    await accessible(page);
  });
}
