// A doctor sets up the practice: hours, time off, services, profile, reviews, waitlist; others see it at once.
import type { Page } from "@playwright/test";
import { PASSWORD, PHONE, accessible, book, enter, expect, login, practice, register, rest, starts, test, type Practice } from "./clinic";
import { LOOKS, wholePage } from "./looks";
import { reviewed } from "./visits";

const DAY_MS = 86_400_000;
const BOGOTA_MS = 5 * 3_600_000;
const DAYS = ["lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"];
/** A date of Bogotá, some days from now. */
const date = (ahead: number): string => new Date(Date.now() + ahead * DAY_MS - BOGOTA_MS).toISOString().slice(0, 10);
const weekday = (day: string): string => DAYS[(new Date(`${day}T00:00:00Z`).getUTCDay() + 6) % 7]!;
/** As a button says it: `14:30`. */
const clock = (start: string): string => new Date(Date.parse(start) - BOGOTA_MS).toISOString().slice(11, 16);

const startOf = async (id: string, token: string): Promise<string> => (await rest<{ start: string }>("GET", `/v1/appointments/${id}`, undefined, token)).start;

/** Waits for the first change that takes times from a day, as somebody watches who is not logged in. */
async function watch(page: Page, { doctor, serviceId }: Practice, day: string): Promise<{ gone: Promise<number> }> {
  await page.goto("/login");
  await page.evaluate(
    ([topic]) =>
      new Promise<void>((ready) => {
        const source = new EventSource(`/v1/events?topic=${topic}`);
        const told = window as Window & { gone?: Promise<number> };
        told.gone = new Promise((done) => source.addEventListener("change", (event) => { const { removed } = JSON.parse((event as MessageEvent<string>).data) as { removed: string[] }; if (removed.length > 0) { source.close(); done(removed.length); } }));
        source.addEventListener("snapshot", () => ready());
      }),
    [`doctors/${doctor.id}/slots/${serviceId}/${day}`],
  );
  return { gone: page.evaluate(() => (window as Window & { gone?: Promise<number> }).gone!) };
}

test("hours change on every screen, and what no longer fits is moved by one press", async ({ stage }) => {
  const clinic = await practice();
  const patient = await register("patient", "Paciente Movido");
  const first = (await starts(clinic))[4]!;
  const { id } = await book(clinic, patient, first);
  const visitor = await stage.open();
  const { gone } = await watch(visitor, clinic, date(1));

  const page = await stage.open(clinic.doctor);
  await page.goto("/settings");
  await expect(page.getByRole("heading", { name: "Horario", level: 1 })).toBeVisible();
  await page.getByRole("checkbox", { name: weekday(date(1)) }).uncheck();
  await page.getByRole("button", { name: "Guardar" }).click();
  await expect(page.getByRole("heading", { name: "1 cita por mover" })).toBeFocused();
  expect(await gone).toBeGreaterThan(20);
  expect((await starts(clinic, 1)).length).toBe(0);

  const task = page.getByRole("group", { name: "Paciente Movido" });
  await expect(page.getByText("fuera del horario")).toBeVisible();
  await accessible(page, ".rebook");
  await task.getByRole("button", { name: /^Mover la cita de Paciente Movido/ }).first().click();
  await expect(page.getByText(/La cita de Paciente Movido quedó para/)).toBeVisible();
  await expect(page.getByRole("heading", { name: "1 cita por mover" })).toBeHidden();
  expect(await startOf(id, patient.token)).not.toBe(first);
});

test("hours that make no sense are told at their field, and the keyboard is enough", async ({ stage }) => {
  const clinic = await practice();
  const page = await stage.open(clinic.doctor);
  await page.goto("/settings/hours");
  const monday = page.getByRole("group", { name: "lunes, franja 1" });
  await monday.getByLabel("Hasta").fill("05:00");
  await expect(page.getByText("El final debe ser después del comienzo.")).toBeVisible();
  await expect(monday.getByLabel("Hasta")).toHaveAttribute("aria-invalid", "true");
  await page.getByRole("button", { name: "Guardar" }).click();
  await expect(monday.getByLabel("Desde")).toBeFocused();
  await accessible(page, ".days");
  await monday.getByLabel("Hasta").fill("12:00");
  await page.getByRole("button", { name: "Agregar franja a lunes" }).press("Enter");
  await expect(page.getByRole("group", { name: "lunes, franja 2" }).getByLabel("Desde")).toHaveValue("13:00");

  await page.getByRole("button", { name: "Copiar el horario de lunes a otros días" }).press("Enter");
  await accessible(page, "dialog");
  await page.getByRole("dialog").getByRole("button", { name: "Copiar" }).press("Enter");
  await expect(page.getByRole("dialog")).toBeHidden();
  await expect(page.getByRole("group", { name: "viernes, franja 2" }).getByLabel("Hasta")).toHaveValue("17:00");
  await page.getByRole("button", { name: "Guardar" }).press("Enter");
  await expect(page.getByText("El horario se guardó.")).toBeVisible();
  const { weekly } = await rest<{ weekly: { weekday: string; from: string; to: string }[] }>("GET", `/v1/doctors/${clinic.doctor.id}/availability`);
  expect(weekly.filter(({ weekday: day }) => day === "friday").map(({ from, to }) => `${from}-${to}`)).toEqual(["06:00-12:00", "13:00-17:00"]);
  expect(weekly.filter(({ weekday: day }) => day === "sunday").map(({ from, to }) => `${from}-${to}`)).toEqual(["06:00-22:00"]);

  // What is not saved is not lost by a slip.
  await page.getByRole("checkbox", { name: "domingo" }).uncheck();
  await page.getByRole("link", { name: "Ausencias" }).press("Enter");
  await page.getByRole("dialog", { name: "Hay cambios sin guardar" }).getByRole("button", { name: "Volver" }).press("Enter");
  await expect(page.getByRole("checkbox", { name: "domingo" })).not.toBeChecked();
  await page.getByRole("button", { name: "Descartar" }).press("Enter");
  await page.getByRole("link", { name: "Ausencias" }).press("Enter");
  await expect(page.getByRole("heading", { name: "Ausencias", level: 1 })).toBeVisible();
});

test("special dates, seasons and public holidays are kept, and a change from elsewhere is not overwritten", async ({ stage }) => {
  const clinic = await practice();
  stage.expected.push(/status of 412/);
  const page = await stage.open(clinic.doctor);
  await page.goto("/settings/hours");
  await page.getByLabel("Fecha", { exact: true }).fill(date(10));
  await page.getByRole("button", { name: "Cerrar ese día" }).click();
  await page.getByRole("button", { name: "Otro horario" }).click();
  await expect(page.getByText("Esa fecha ya está en la lista.")).toBeVisible();
  await page.getByLabel("Fecha", { exact: true }).fill(date(11));
  await page.getByRole("button", { name: "Otro horario" }).click();
  await page.getByLabel("Agregar un calendario").selectOption({ label: "Colombia" });
  await page.getByText(/festivos en los próximos doce meses/).click();
  await expect(page.getByText("Navidad")).toBeVisible();
  await page.getByRole("button", { name: "Agregar temporada" }).click();
  await accessible(page, "details");
  await page.getByRole("button", { name: "Guardar" }).click();
  await expect(page.getByText("El horario se guardó.")).toBeVisible();
  const kept = await rest<{ overrides: { date: string; ranges: unknown[] }[]; seasons: unknown[]; holidayCalendars: string[] }>("GET", `/v1/doctors/${clinic.doctor.id}/availability`);
  expect(kept.overrides.map(({ date: day, ranges }) => [day, ranges.length])).toEqual([[date(10), 0], [date(11), 1]]);
  expect([kept.seasons.length, kept.holidayCalendars]).toEqual([1, ["CO"]]);

  await rest("PUT", `/v1/doctors/${clinic.doctor.id}/availability`, { timeZone: clinic.zone, weekly: [{ weekday: "monday", from: "09:00", to: "10:00" }] }, clinic.doctor.token);
  await page.getByRole("checkbox", { name: "domingo" }).first().uncheck();
  await page.getByRole("button", { name: "Guardar" }).click();
  await page.getByRole("button", { name: "Cargar lo nuevo" }).click();
  await expect(page.getByText("1 h por semana")).toBeVisible();
});

test("another zone asks what becomes of the appointments ahead", async ({ stage }) => {
  const clinic = await practice();
  const patient = await register("patient");
  const first = (await starts(clinic))[10]!;
  const { id } = await book(clinic, patient, first);
  const page = await stage.open(clinic.doctor);
  await page.goto("/settings/hours");
  await page.getByLabel("Zona horaria del consultorio").selectOption("America/Mexico_City");
  await page.getByRole("button", { name: "Guardar" }).click();
  const dialog = page.getByRole("dialog", { name: "Hay citas por delante" });
  await expect(dialog).toBeVisible();
  await accessible(page, "dialog");
  await dialog.getByLabel(/Dejarlas a la misma hora del reloj/).check();
  await dialog.getByRole("button", { name: "Guardar" }).click();
  await expect(page.getByText("El horario se guardó.")).toBeVisible();
  // Mexico City is an hour behind Bogotá.
  expect(Date.parse(await startOf(id, patient.token)) - Date.parse(first)).toBe(3_600_000);
});

test("time off says what lies in it; its appointments are moved or cancelled, and a second screen follows", async ({ stage }) => {
  const clinic = await practice();
  const [moved, cancelled] = [await register("patient", "Paciente Uno"), await register("patient", "Paciente Dos")];
  const free = await starts(clinic);
  const one = await book(clinic, moved, free[2]!);
  const two = await book(clinic, cancelled, free[4]!);
  const page = await stage.open(clinic.doctor);
  const other = await stage.open(clinic.doctor, PHONE);
  await page.goto("/settings/time-off");
  await other.goto("/settings/time-off");

  await page.getByLabel("Primer día").fill(date(1));
  await page.getByLabel("Último día").fill(date(0));
  await page.getByRole("button", { name: "Anotar ausencia" }).click();
  await expect(page.getByText("El final debe ser después del comienzo.")).toBeVisible();
  await expect(page.getByLabel("Último día")).toBeFocused();
  await page.getByLabel("Último día").fill(date(1));
  await expect(page.getByText("Hay 2 citas en ese tiempo.")).toBeVisible();
  await page.getByLabel("Motivo").fill("Congreso");
  await page.getByRole("button", { name: "Anotar ausencia" }).click();
  await expect(page.getByRole("heading", { name: "2 citas por mover" })).toBeFocused();
  expect((await starts(clinic, 1)).length).toBe(0);

  await page.getByRole("group", { name: "Paciente Uno" }).getByRole("button", { name: /^Mover la cita/ }).first().click();
  await expect(page.getByText(/La cita de Paciente Uno quedó para/)).toBeVisible();
  // The keyboard stays where the work is.
  await expect(page.getByRole("heading", { name: "1 cita por mover" })).toBeFocused();
  expect(Date.parse(await startOf(one.id, moved.token))).toBeGreaterThanOrEqual(Date.parse(`${date(2)}T05:00:00Z`));
  // The other screen was told of the move, and asked what there is to do.
  await expect(other.getByRole("heading", { name: "1 cita por mover" })).toBeVisible();

  await page.getByRole("group", { name: "Paciente Dos" }).getByRole("button", { name: "Otra hora para Paciente Dos" }).click();
  await expect(page.getByRole("dialog").getByRole("region").first()).toBeVisible();
  await accessible(page, "dialog");
  await page.keyboard.press("Escape");
  await page.getByRole("group", { name: "Paciente Dos" }).getByRole("button", { name: "Cancelar la cita de Paciente Dos" }).click();
  await page.getByLabel("Motivo, para el paciente (opcional)").fill("Estoy en un congreso");
  await accessible(page, "dialog");
  await page.getByRole("dialog").getByRole("button", { name: "Cancelar la cita" }).click();
  await expect(other.getByRole("heading", { name: "1 cita por mover" })).toBeHidden();
  expect(await rest("GET", `/v1/appointments/${two.id}`, undefined, cancelled.token)).toMatchObject({ status: "cancelled", cancelReason: "Estoy en un congreso" });

  await page.getByRole("button", { name: /^Quitar la ausencia/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Quitar" }).click();
  await expect(page.getByText("No tiene ausencias anotadas")).toBeVisible();
  await expect.poll(async () => (await starts(clinic, 1)).length).toBeGreaterThan(20);
});

test("a time that somebody else took first is refused in words, and the appointment stays to be moved", async ({ stage }) => {
  const clinic = await practice();
  const [patient, faster] = [await register("patient", "Paciente Lento"), await register("patient")];
  await book(clinic, patient, (await starts(clinic))[2]!);
  await rest("POST", `/v1/doctors/${clinic.doctor.id}/time-off`, { from: { date: date(1) }, to: { date: date(1) } }, clinic.doctor.token);
  const page = await stage.open();
  // This screen is told nothing of what others do meanwhile.
  await page.routeWebSocket(/\/v1\/ws/, (socket) => {
    const server = socket.connectToServer();
    server.onMessage((message) => {
      if (!String(message).includes('"type":"change"')) socket.send(message);
    });
  });
  await enter(page, clinic.doctor.email, PASSWORD);
  await page.goto("/settings/time-off");
  const { items } = await rest<{ items: { alternatives: { start: string }[] }[] }>("GET", `/v1/doctors/${clinic.doctor.id}/outside`, undefined, clinic.doctor.token);
  const wanted = items[0]!.alternatives[0]!.start;
  const choice = page.getByRole("button", { name: new RegExp(`^Mover la cita de Paciente Lento a .* ${clock(wanted)}$`) });
  await expect(choice).toBeVisible();
  await book(clinic, faster, wanted);
  await choice.click();
  await expect(page.getByText("Otra persona acaba de tomar esta hora.")).toBeVisible();
  await expect(page.getByRole("heading", { name: "1 cita por mover" })).toBeVisible();
  // What is offered instead is asked for anew.
  await expect(choice).toHaveCount(0);
  await page.getByRole("button", { name: /^Mover la cita de Paciente Lento/ }).first().click();
  await expect(page.getByText(/quedó para/)).toBeVisible();
});

test("a service is made, changed and archived, live", async ({ stage }) => {
  const clinic = await practice();
  stage.expected.push(/status of 422/);
  const page = await stage.open(clinic.doctor);
  const other = await stage.open(clinic.doctor, PHONE);
  await page.goto("/settings/services");
  await other.goto("/settings/services");
  await expect(other.getByRole("heading", { name: "Consulta" })).toBeVisible();

  await page.getByRole("button", { name: "Nuevo servicio" }).click();
  const dialog = page.getByRole("dialog");
  await expect(dialog.getByLabel("Nombre")).toBeFocused();
  await dialog.getByLabel("Nombre").fill("Taller de respiración");
  await dialog.getByLabel("Duración (minutos)").fill("7");
  await dialog.getByLabel("Precio (COP)").fill("85000");
  await dialog.getByText("Cupos y pacientes").click();
  await dialog.getByLabel("Pacientes por sesión").fill("99");
  await accessible(page, "dialog");
  await dialog.getByRole("button", { name: "Guardar" }).click();
  await expect(dialog.getByText("No es válido.")).toBeVisible();
  await expect(dialog.getByText("Está fuera de los límites.")).toBeVisible();
  await expect(dialog.getByLabel("Duración (minutos)")).toBeFocused();
  await dialog.getByLabel("Duración (minutos)").fill("45");
  await dialog.getByLabel("Pacientes por sesión").fill("8");
  await dialog.getByRole("button", { name: "Guardar" }).click();
  await expect(dialog).toBeHidden();
  await expect(other.getByText("45 min · $ 85.000 · grupo de 8")).toBeVisible();

  await page.getByRole("button", { name: "Editar Taller de respiración" }).click();
  await dialog.getByLabel("Precio (COP)").fill("");
  await dialog.getByLabel(/Pido aprobar cada solicitud/).check();
  await dialog.getByText("Cuándo se puede reservar y cambiar").click();
  await dialog.getByLabel("Anticipación mínima: unidad").selectOption("1440");
  await dialog.getByLabel("Anticipación mínima", { exact: true }).fill("2");
  await dialog.getByRole("button", { name: "Guardar" }).click();
  await expect(other.getByText("45 min · sin precio · con aprobación · grupo de 8")).toBeVisible();
  const { items } = await rest<{ items: { name: string; minNoticeMinutes: number }[] }>("GET", `/v1/doctors/${clinic.doctor.id}/services`);
  expect(items.find(({ name }) => name === "Taller de respiración")?.minNoticeMinutes).toBe(2880);

  await page.getByRole("button", { name: "Archivar Taller de respiración" }).click();
  await accessible(page, "dialog");
  await page.getByRole("dialog").getByRole("button", { name: "Archivar" }).click();
  await expect(other.getByText("Archivados (1)")).toBeVisible();
});

test("a profile is changed as visitors will read it, with its history", async ({ stage }) => {
  const clinic = await practice({}, "Dra. Perfil Prueba");
  stage.expected.push(/status of 422/);
  const page = await stage.open(clinic.doctor);
  const other = await stage.open(clinic.doctor);
  await page.goto("/settings/profile");
  await other.goto("/settings/profile");
  await page.getByLabel("Especialidad").fill("Cardiología");
  await page.getByLabel("Presentación").fill("Corazón y arterias.");
  await page.getByLabel("Agregar idioma").selectOption("pt");
  await page.getByLabel("Títulos y estudios").fill("Médica\nCardióloga");
  await page.getByLabel("Años de experiencia").fill("99");
  const preview = page.getByRole("article", { name: "Dra. Perfil Prueba" });
  await expect(preview.getByText("Cardiología")).toBeVisible();
  await page.getByRole("button", { name: "Guardar" }).click();
  await expect(page.getByText("Está fuera de los límites.")).toBeVisible();
  await expect(page.getByLabel("Años de experiencia")).toBeFocused();
  await page.getByLabel("Años de experiencia").fill("9");
  await page.getByRole("button", { name: "Guardar" }).click();
  await expect(page.getByText("El perfil se guardó.")).toBeVisible();
  await expect(other.getByLabel("Especialidad")).toHaveValue("Cardiología");
  await expect(other.getByText("9 años de experiencia")).toBeVisible();
  expect(await rest("GET", `/v1/doctors/${clinic.doctor.id}`)).toMatchObject({ specialisation: "Cardiología", languages: ["pt"], qualifications: ["Médica", "Cardióloga"], experienceYears: 9 });

  // Both at once: what was typed here stays, what was left alone follows, and it can be saved then.
  await page.getByLabel("Presentación").fill("Corazón, arterias y venas.");
  await other.getByLabel("Especialidad").fill("Cardiología infantil");
  await other.getByRole("button", { name: "Guardar" }).click();
  await expect(other.getByText("El perfil se guardó.")).toBeVisible();
  await page.getByRole("button", { name: "Guardar" }).click();
  await expect(page.getByText(/El perfil cambió en otro dispositivo/)).toBeVisible();
  await expect(page.getByLabel("Especialidad")).toHaveValue("Cardiología infantil");
  await expect(page.getByLabel("Presentación")).toHaveValue("Corazón, arterias y venas.");
  await page.getByRole("button", { name: "Guardar" }).click();
  await expect.poll(() => rest("GET", `/v1/doctors/${clinic.doctor.id}`)).toMatchObject({ specialisation: "Cardiología infantil", bio: "Corazón, arterias y venas." });

  await page.getByText("Historial de cambios").click();
  await expect(page.getByText("Perfil cambiado").first()).toBeVisible();
  await accessible(page);
});

test("an answer to a review is seen on another screen, and a report reaches the admins", async ({ stage }) => {
  const clinic = await practice();
  const patient = await register("patient");
  const review = await reviewed(clinic, patient, { rating: 4, text: "Muy amable y puntual." });
  const page = await stage.open(clinic.doctor);
  const other = await stage.open(clinic.doctor, PHONE);
  await page.goto("/settings/reviews");
  await other.goto("/settings/reviews");
  await expect(other.getByText("Muy amable y puntual.")).toBeVisible();
  await page.getByRole("button", { name: "Responder" }).click();
  await expect(page.getByLabel("Su respuesta")).toBeFocused();
  await page.keyboard.type("Gracias por venir.");
  await accessible(page);
  await page.getByRole("button", { name: "Publicar" }).click();
  await expect(other.getByText("Gracias por venir.")).toBeVisible();

  await page.getByRole("button", { name: "Reportar" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Reportar" }).click();
  await expect(dialog.getByText("Escriba el motivo.")).toBeVisible();
  await accessible(page, "dialog");
  await dialog.getByLabel("¿Qué tiene de malo?").fill("Habla de otra consulta.");
  await dialog.getByRole("button", { name: "Reportar" }).click();
  await expect(page.getByText("La administración la va a revisar.")).toBeVisible();
  const admin = await login("admin@cita.example");
  const { items } = await rest<{ items: { id: string; reports: { by: string; reason: string }[] }[] }>("GET", `/v1/admin/reviews?doctorId=${clinic.doctor.id}&reported=true`, undefined, admin.token);
  expect(items).toMatchObject([{ id: review.id, reports: [{ by: clinic.doctor.id, reason: "Habla de otra consulta." }] }]);
});

test("who waits is shown as they join, and can be taken off", async ({ stage }) => {
  const clinic = await practice();
  const patient = await register("patient", "Paciente Espera");
  const page = await stage.open(clinic.doctor);
  await page.goto("/settings/waitlist");
  await expect(page.getByText("Nadie espera")).toBeVisible();
  await rest("POST", "/v1/waitlist", { doctorId: clinic.doctor.id, serviceId: clinic.serviceId, from: date(1), to: date(20), weekdays: ["monday"], times: { from: "08:00", to: "12:00" } }, patient.token);
  await expect(page.getByText("Paciente Espera")).toBeVisible();
  await expect(page.getByText(/lunes · entre 08:00 y 12:00/)).toBeVisible();
  await page.getByRole("button", { name: "Quitar a Paciente Espera de la lista" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Quitar" }).click();
  await expect(page.getByText("Nadie espera")).toBeVisible();
});

const PAGES = [
  { path: "hours", es: "Horario", en: "Hours" },
  { path: "time-off", es: "Ausencias", en: "Time off" },
  { path: "services", es: "Servicios", en: "Services" },
  { path: "profile", es: "Perfil", en: "Profile" },
  { path: "reviews", es: "Reseñas", en: "Reviews" },
  { path: "waitlist", es: "Lista de espera", en: "Waitlist" },
];
for (const { look, language, options } of LOOKS) {
  test(`no page of the settings has a barrier ${look}`, async ({ stage }) => {
    test.slow();
    const clinic = await practice();
    await reviewed(clinic, await register("patient"), { rating: 5 });
    const page = await stage.open(clinic.doctor, options);
    await page.locator(".language select").selectOption(language);
    for (const { path, [language]: title } of PAGES) {
      await page.goto(`/settings/${path}`);
      await expect(page.getByRole("heading", { name: title, level: 1, exact: true })).toBeVisible();
      await wholePage(page);
    }
  });
}
