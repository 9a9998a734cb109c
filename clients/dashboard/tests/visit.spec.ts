// What a visitor does: finds a doctor, sees the times live, and books one, whatever the network does meanwhile.
import { readFile } from "node:fs/promises";
import type { Page, WebSocketRoute } from "@playwright/test";
import { accessible, book, enter, expect, PASSWORD, PHONE, practice, register, rest, starts, test, type Person, type Practice } from "./clinic";

const DARK_PHONE = { ...PHONE, colorScheme: "dark" } as const;

const slot = (page: Page, start: string) => page.locator(`button.time[data-start="${start}"]`);
const dialog = (page: Page) => page.getByRole("dialog");
const address = ({ doctor, serviceId }: Practice, start?: string): string => `/doctors/${doctor.id}?service=${serviceId}${start ? `&start=${encodeURIComponent(start)}` : ""}`;

/** The appointments of somebody, as the server has them. */
async function agenda(patient: Person): Promise<{ id: string; start: string; status: string }[]> {
  return (await rest<{ items: { id: string; start: string; status: string }[] }>("GET", "/v1/appointments", undefined, patient.token)).items;
}

async function narrowEnough(page: Page): Promise<void> {
  expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0);
}

test("a search stands in the address, and comes back with it", async ({ stage }) => {
  const mark = `Quiroz ${crypto.randomUUID().slice(0, 8)}`;
  const place = await practice({}, `Dra. ${mark}`);
  const page = await stage.open();
  await page.goto("/");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("¿Con quién quiere su cita?");
  await page.getByRole("searchbox").fill(mark);
  await expect(page.locator("li.doctor")).toHaveCount(1);
  await expect(page.locator("li.doctor")).toContainText("Próxima hora libre");
  await page.getByLabel("Ordenar por").selectOption("rating");
  // The time comes from a second question here.
  await expect(page.locator("li.doctor")).toContainText("Próxima hora libre");
  await expect(page).toHaveURL(/q=Quiroz/);
  await page.reload();
  await expect(page.getByRole("searchbox")).toHaveValue(mark);
  await expect(page.getByLabel("Ordenar por")).toHaveValue("rating");
  await page.getByRole("link", { name: mark }).click();
  await expect(page).toHaveURL(`/doctors/${place.doctor.id}`);
  await page.goBack();
  await page.getByRole("searchbox").fill("nadie se llama así");
  await expect(page.getByRole("region", { name: "Profesionales" })).toContainText("Nadie coincide con esta búsqueda");
  await page.getByRole("button", { name: "Quitar los filtros" }).click();
  await page.getByRole("button", { name: "Cardiología", exact: true }).click();
  await expect(page.getByRole("link", { name: "Dr. Carlos Andrés Gómez" })).toBeVisible();
  await expect(page.getByRole("link", { name: "Dra. Valentina Herrera" })).toHaveCount(0);
});

test("the address of a video call goes into the file alone, and a request is called one", async ({ stage }) => {
  const place = await practice({ requiresApproval: true, videoUrl: "https://video.example/sala-7" });
  const [start] = (await starts(place)) as [string];
  const page = await stage.open(await register("patient"));
  await page.goto(address(place));
  await slot(page, start).click();
  await dialog(page).getByRole("button", { name: "Enviar la solicitud" }).click();
  const downloading = page.waitForEvent("download");
  await dialog(page).getByRole("button", { name: "Agregar a mi calendario" }).click();
  expect(await readFile((await (await downloading).path())!, "utf8")).toContain("LOCATION:https://video.example/sala-7\r\n");
  const web = dialog(page).getByRole("link", { name: /se abre en otra pestaña/ });
  await expect(web).toHaveCount(2);
  for (const link of await web.all()) {
    const { href, query } = await link.evaluate((a) => ({ href: (a as HTMLAnchorElement).href, query: Object.fromEntries(new URL((a as HTMLAnchorElement).href).searchParams) }));
    expect(href).not.toContain("video.example");
    expect(query.text ?? query.subject).toBe(`Consulta con ${place.doctor.name} (por confirmar)`);
  }
});

test("one books, and the other sees the time being booked, and go", async ({ stage }) => {
  const place = await practice({ name: "Control, con examen; breve" });
  const [start, other] = (await starts(place)) as [string, string];
  const patient = await register("patient");
  const [mine, theirs] = await Promise.all([stage.open(patient), stage.open()]);
  await Promise.all([mine.goto(address(place)), theirs.goto(address(place))]);
  await slot(mine, start).click();
  await expect(dialog(mine).getByRole("timer")).toHaveText(/[45]:\d\d/);
  await expect(slot(theirs, start)).toHaveAttribute("aria-label", /alguien la está reservando/);
  await expect(slot(theirs, start)).toHaveAttribute("aria-disabled", "true");

  // To change one's mind gives the time back.
  await dialog(mine).getByRole("button", { name: "Otra hora" }).click();
  await expect(slot(theirs, start)).toHaveAttribute("aria-disabled", "false");
  // Whoever goes by keyboard is where they were.
  await expect(slot(mine, start)).toBeFocused();

  await slot(mine, other).click();
  await dialog(mine).getByLabel("Motivo de la consulta").fill("Dolor de espalda");
  await dialog(mine).getByRole("button", { name: "Confirmar la cita" }).click();
  await expect(dialog(mine).getByText("Lo esperamos", { exact: false })).toBeVisible();
  // It is crossed out for a moment, then it is no more.
  await expect(slot(theirs, other)).toHaveClass(/gone/);
  await expect(slot(theirs, other)).toHaveCount(0);

  const downloading = mine.waitForEvent("download");
  await dialog(mine).getByRole("button", { name: "Agregar a mi calendario" }).click();
  const file = await readFile((await (await downloading).path())!, "utf8");
  expect(file).toContain(`DTSTART:${other.replaceAll(/[-:]/g, "")}\r\n`);
  expect(file.replaceAll("\r\n ", "")).toContain(`SUMMARY:Control\\, con examen\\; breve con ${place.doctor.name}\r\n`);
  expect(file.split("\r\n").every((line) => Buffer.byteLength(line) <= 75 && !line.includes("\n"))).toBe(true);
  // The same in calendars of the web, which learn nothing else, nor where somebody comes from.
  const end = new Date(Date.parse(other) + 30 * 60_000).toISOString().replace(".000Z", "Z");
  const web = dialog(mine).getByRole("link", { name: /se abre en otra pestaña/ });
  await expect(web).toHaveCount(2);
  for (const link of await web.all()) await expect(link).toHaveAttribute("rel", "noopener noreferrer");
  const [google, outlook] = await web.evaluateAll((all) => all.map((link) => (link as HTMLAnchorElement).href));
  const title = `Control, con examen; breve con ${place.doctor.name}`;
  expect(Object.fromEntries(new URL(google!).searchParams)).toEqual({ action: "TEMPLATE", text: title, dates: [other, end].map((at) => at.replaceAll(/[-:]/g, "")).join("/"), details: `${new URL(mine.url()).origin}/appointments`, location: "" });
  expect(Object.fromEntries(new URL(outlook!).searchParams)).toMatchObject({ subject: title, startdt: other, enddt: end, location: "" });
  expect((await agenda(patient)).map(({ start, status }) => [start, status])).toEqual([[other, "booked"]]);
});

test("who has to log in comes back to the time that they chose", async ({ stage }) => {
  const place = await practice({ requiresApproval: true });
  const [start] = (await starts(place)) as [string];
  const page = await stage.open();
  await page.goto(address(place));
  await slot(page, start).click();
  await expect(page.getByText("Su elección se conserva", { exact: false })).toBeVisible();
  await page.getByRole("link", { name: "Crear una cuenta" }).click();
  await page.locator('input[autocomplete="name"]').fill("Paciente Nueva");
  await page.locator('input[type="email"]').fill(`${crypto.randomUUID()}@prueba.example`);
  await page.locator('input[autocomplete="new-password"]').fill(PASSWORD);
  await page.locator("button.primary.block").click();
  await expect(dialog(page).getByRole("timer")).toBeVisible();
  expect(new URL(page.url()).searchParams.get("start")).toBe(start);
  await dialog(page).getByRole("button", { name: "Enviar la solicitud" }).click();
  await expect(dialog(page).getByRole("heading", { name: "Solicitud enviada" })).toBeVisible();
});

test("who loses a time is offered the nearest", async ({ stage }) => {
  const place = await practice();
  const [start, next] = (await starts(place)) as [string, string];
  const [patient, faster] = await Promise.all([register("patient"), register("patient")]);
  await book(place, faster, start);
  const page = await stage.open(patient);
  await page.goto(address(place, start));
  await expect(dialog(page).getByText("Otra persona acaba de tomar esta hora.")).toBeVisible();
  await accessible(page);
  await dialog(page).locator("ul.near button").first().click();
  await expect(dialog(page).getByRole("timer")).toBeVisible();
  await dialog(page).getByRole("button", { name: "Confirmar la cita" }).click();
  await expect(dialog(page).getByRole("heading", { name: "Cita reservada" })).toBeVisible();
  expect((await agenda(patient)).map(({ start }) => start)).toEqual([next]);

  // Without an account: the choice is watched, and its loss is told.
  const visitor = await stage.open();
  await visitor.goto(address(place, next));
  await expect(visitor.getByText("Esta hora ya no está libre.")).toBeVisible();
  await expect(visitor.locator("ul.near button").first()).toBeVisible();
});

test("a second appointment at the same time is marked before, and told as long as it is in the way", async ({ stage }) => {
  const [place, elsewhere] = await Promise.all([practice(), practice()]);
  const [start] = (await starts(place)) as [string];
  const patient = await register("patient");
  const first = await book(elsewhere, patient, start);
  const page = await stage.open(patient);
  await page.goto(address(place));
  await expect(slot(page, start)).toHaveAttribute("aria-label", /usted tiene otra cita/);
  await slot(page, start).click();
  await expect(dialog(page).getByRole("alert")).toContainText(`Usted ya tiene una cita a esa hora: ${elsewhere.doctor.name}`);
  const confirm = dialog(page).getByRole("button", { name: "Confirmar la cita" });
  await expect(confirm).toBeDisabled();
  // Once the other one is out of the way, it can be had.
  await rest("POST", `/v1/appointments/${first.id}/cancel`, {}, patient.token);
  await expect(dialog(page).getByRole("alert")).toHaveCount(0);
  await confirm.click();
  await expect(dialog(page).getByRole("heading", { name: "Cita reservada" })).toBeVisible();
});

test("a lost connection in the middle of booking ends in one appointment", async ({ stage }) => {
  stage.expected.push(/WebSocket|Failed to load resource|ERR_/);
  const place = await practice();
  const [start] = (await starts(place)) as [string];
  const patient = await register("patient");
  const page = await stage.open();
  let isCut = false;
  let sent = 0;
  const lines: WebSocketRoute[] = [];
  await page.routeWebSocket(/\/v1\/ws/, (line) => {
    if (isCut) return void line.close();
    const server = line.connectToServer();
    lines.push(line);
    line.onMessage((message) => {
      if (String(message).includes('"type":"appointment.book"') && ++sent === 1) isCut = true;
      server.send(message);
    });
    server.onMessage((message) => {
      // The server has booked, and its answer is lost on the way.
      if (!isCut) return line.send(message);
      for (const open of lines.splice(0)) void open.close();
    });
  });
  // There is no way around it either.
  await page.route("**/v1/**", (route) => (isCut ? route.abort() : route.continue()));
  await enter(page, patient.email, PASSWORD);
  await page.goto(address(place));
  await slot(page, start).click();
  await dialog(page).getByRole("button", { name: "Confirmar la cita" }).click();
  await expect(dialog(page).getByText("Su reserva está guardada", { exact: false })).toBeVisible();
  await accessible(page);
  isCut = false;
  await expect(dialog(page).getByRole("heading", { name: "Cita reservada" })).toBeVisible({ timeout: 30_000 });
  expect(await agenda(patient)).toHaveLength(1);
});

test("a hold that runs out says so, and can be taken again", async ({ stage }) => {
  const place = await practice();
  const [start] = (await starts(place)) as [string];
  const patient = await register("patient");
  const page = await stage.open();
  await page.clock.install();
  await enter(page, patient.email, PASSWORD);
  await page.goto(address(place, start));
  await expect(dialog(page).getByRole("timer")).toBeVisible();
  await page.clock.fastForward("05:10");
  await expect(dialog(page).getByRole("alert")).toContainText("Se acabó el tiempo");
  await expect(dialog(page).getByRole("button", { name: "Apartarla de nuevo" })).toBeVisible();
});

test("the same time every week is booked at once, without those that are taken", async ({ stage }) => {
  const place = await practice();
  const [start] = (await starts(place)) as [string];
  const week = (n: number): string => new Date(Date.parse(start) + n * 7 * 86_400_000).toISOString().replace(".000Z", "Z");
  const [patient, other] = await Promise.all([register("patient"), register("patient")]);
  await book(place, other, week(1));
  const page = await stage.open(patient);
  await page.goto(address(place, start));
  await dialog(page).getByText("Repetir cada semana").click();
  await dialog(page).getByLabel("Cuántas citas").selectOption("3");
  await expect(dialog(page).getByText("ocupada")).toBeVisible();
  await accessible(page);
  await dialog(page).getByRole("button", { name: "Confirmar 2 citas" }).click();
  await expect(dialog(page).getByRole("heading", { name: "Cita reservada" })).toBeVisible();
  expect((await agenda(patient)).map((one) => one.start)).toEqual([start, week(2)]);
});

test("a month shows its free days, live, and leads to their times", async ({ stage }) => {
  const place = await practice({ stepMinutes: 480 });
  const start = (await starts(place, 40)).at(-1)!;
  const date = new Date(Date.parse(start) - 5 * 3_600_000).toISOString().slice(0, 10);
  const page = await stage.open();
  await page.goto(address(place));
  await page.getByRole("button", { name: "Ver el mes" }).click();
  const name = new Intl.DateTimeFormat("es-CO", { month: "long", year: "numeric", timeZone: "UTC" }).format(new Date(date));
  const next = page.getByRole("button", { name: "Mes siguiente" });
  await expect(next).toBeVisible();
  const month = page.locator(".range");
  for (let shown = await month.textContent(); !shown!.includes(name); shown = await month.textContent()) {
    await next.click();
    await expect(month).not.toHaveText(shown!);
  }
  const day = page.getByRole("button", { name: new RegExp(`, ${new Intl.DateTimeFormat("es-CO", { day: "numeric", month: "long", timeZone: "UTC" }).format(new Date(date))}, `) });
  await expect(day).toHaveAccessibleName(/2 horas libres$/);
  await accessible(page);
  await book(place, await register("patient"), start);
  await expect(day).toHaveAccessibleName(/1 hora libre$/);
  await day.click();
  await expect(page.locator("button.time").first()).toBeVisible();
  await expect(slot(page, start)).toHaveCount(0);
});

test("a viewer who says so reads times with 12 hours, from then on", async ({ stage }) => {
  const place = await practice();
  const page = await stage.open(undefined, PHONE);
  await page.goto(address(place));
  // One of today may be over meanwhile.
  const [start] = (await starts(place)) as [string];
  await page.getByLabel("Ir a la fecha").fill(start.slice(0, 10));
  await expect(slot(page, start)).toHaveText(/^\s*\d\d:\d\d\s*$/);
  const written = (language: string) => new Intl.DateTimeFormat(language, { hour: "numeric", minute: "2-digit", hourCycle: "h12", timeZone: "America/Bogota" }).format(new Date(start));
  const choice = page.getByRole("button", { name: "12 h: de 1 a 12" });
  await choice.click();
  await expect(choice).toHaveAttribute("aria-pressed", "true");
  await expect(slot(page, start)).toHaveText(written("es-CO"));
  await accessible(page);
  await narrowEnough(page);
  await page.reload();
  await page.getByLabel("Idioma").selectOption("en");
  await page.getByLabel("Go to date").fill(start.slice(0, 10));
  await expect(slot(page, start)).toHaveText(written("en-GB"));
});

test("a viewer in Madrid sees both clocks", async ({ stage }) => {
  const place = await practice();
  const [start] = (await starts(place)) as [string];
  const page = await stage.open(await register("patient"), { timezoneId: "Europe/Madrid" });
  const [here, there] = ["Europe/Madrid", "America/Bogota"].map((timeZone) => new Intl.DateTimeFormat("es-CO", { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone }).format(new Date(start)));
  await page.goto(address(place));
  await expect(slot(page, start)).toHaveAttribute("aria-label", new RegExp(`${here}, ${there} en el consultorio`));
  await slot(page, start).click();
  await expect(dialog(page).getByText(`En el consultorio serán las ${there}`, { exact: false })).toBeVisible();
});

test("an evening there that is the next day here says so", async ({ stage }) => {
  const place = await practice();
  const start = (await starts(place)).find((one) => new Date(Date.parse(one) - 5 * 3_600_000).toISOString().slice(11, 16) === "20:00")!;
  const page = await stage.open(await register("patient"), { timezoneId: "Europe/Madrid" });
  const weekday = (zone: string): string => new Intl.DateTimeFormat("es-CO", { weekday: "short", timeZone: zone }).format(new Date(start));
  await page.goto(address(place));
  await expect(slot(page, start)).toContainText(weekday("Europe/Madrid"));
  await expect(slot(page, start)).toContainText("20:00");
  // It stands among those of the practice's day.
  const there = new Intl.DateTimeFormat("es-CO", { weekday: "long", timeZone: "America/Bogota" }).format(new Date(start));
  await expect(page.getByRole("region", { name: there }).locator(`[data-start="${start}"]`)).toBeVisible();
  expect(weekday("Europe/Madrid")).not.toBe(weekday("America/Bogota"));
});

test("in English, by keyboard alone", async ({ stage }) => {
  const place = await practice();
  const [start] = (await starts(place)) as [string];
  const patient = await register("patient");
  const page = await stage.open(undefined, { locale: "en-GB" });
  await page.goto("/");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Who would you like to see?");
  // Chosen here, it counts for more than the language of the account.
  await page.getByLabel("Language").first().selectOption("en");
  await enter(page, patient.email, PASSWORD);
  await page.goto(address(place));
  await slot(page, start).focus();
  await page.keyboard.press("Enter");
  await expect(dialog(page).locator(".kept")).toContainText("The time is kept for you");
  await expect(dialog(page).getByRole("status")).toContainText("The time is kept for you");
  await dialog(page).getByRole("button", { name: "Confirm the appointment" }).focus();
  await page.keyboard.press("Enter");
  await expect(dialog(page).getByRole("heading", { name: "Booked" })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(dialog(page)).toHaveCount(0);
});

for (const [name, options] of [["wide and light", {}], ["on a phone in the dark", DARK_PHONE]] as const) {
  test(`no barriers, ${name}`, async ({ stage }) => {
    const place = await practice({ stepMinutes: 240, cancelCutoffMinutes: 1440, price: { amountMinor: 9_000_000, currency: "COP" } });
    const [start] = (await starts(place)) as [string];
    const visitor = await stage.open(undefined, options);
    await visitor.goto("/");
    await expect(visitor.locator("li.doctor").first()).toBeVisible();
    await accessible(visitor);
    await narrowEnough(visitor);
    await visitor.goto(address(place));
    await expect(visitor.locator("button.time").first()).toBeVisible();
    await expect(visitor.getByText("$ 90.000")).toBeVisible();
    await accessible(visitor);
    await narrowEnough(visitor);
    const page = await stage.open(await register("patient"), options);
    await page.goto(address(place, start));
    await expect(dialog(page).getByRole("timer")).toBeVisible();
    await accessible(page);
    await narrowEnough(page);
    await dialog(page).getByRole("button", { name: "Confirmar la cita" }).click();
    await expect(dialog(page).getByRole("heading", { name: "Cita reservada" })).toBeVisible();
    await accessible(page);
    await page.goto(`${address(place)}&waitlist=1`);
    await expect(dialog(page).getByLabel("Desde el")).toBeVisible();
    await accessible(page);
    await narrowEnough(page);
  });
}
