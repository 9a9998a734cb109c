// What somebody is told by e-mail: chosen, seen on another device, refused.
import { enter, expect, PASSWORD, practice, register, rest, starts, test, type Person, type Practice } from "./clinic";
import { clock } from "./grid";
import { LOOKS, wholePage } from "./looks";
import { mailed, mailsTo } from "./mails";

interface Choices { changes: boolean; reminders: boolean; offers: boolean; reminderMinutes: number }
const chosen = async (who: Person): Promise<Choices> => (await rest<{ notifications: Choices }>("GET", "/v1/me", undefined, who.token)).notifications;

/** A patient whose address is confirmed. */
async function confirmed(): Promise<Person> {
  const person = await register("patient");
  await rest("POST", "/v1/auth/verify-email", { token: await mailed(person.email, "verify-email") });
  return person;
}

const bookFor = ({ doctor, serviceId }: Practice, { id }: Person, start: string): Promise<unknown> =>
  rest("POST", "/v1/appointments", { doctorId: doctor.id, serviceId, start, patientId: id }, doctor.token);

test("a choice is saved at once, and seen on a second device", async ({ stage }) => {
  const person = await register("patient");
  const [one, other] = await Promise.all([stage.open(person), stage.open(person)]);
  await Promise.all([one.goto("/account"), other.goto("/account")]);
  await expect(one.getByText("Su correo está sin confirmar: los avisos le llegarán")).toBeVisible();
  const reminders = one.getByRole("switch", { name: "Recordatorios" });
  await expect(other.getByRole("switch", { name: "Recordatorios" })).toBeChecked();

  await one.getByLabel("Con cuánta anticipación").selectOption({ label: "3 h antes" });
  await expect.poll(() => chosen(person)).toEqual({ changes: true, reminders: true, offers: true, reminderMinutes: 180 });
  // By the keyboard, and twice in a row: the last one counts.
  await reminders.focus();
  await one.keyboard.press("Space");
  await one.keyboard.press("Space");
  await one.keyboard.press("Space");
  await expect(reminders).not.toBeChecked();
  await expect(one.locator("section", { has: reminders })).toHaveAttribute("aria-busy", "false");
  expect((await chosen(person)).reminders).toBe(false);
  await expect(one.getByLabel("Con cuánta anticipación")).toBeDisabled();
  await expect(one.getByRole("status").filter({ hasText: "Guardado" })).toBeAttached();

  // Whoever comes back to the other device sees it.
  await other.evaluate(() => dispatchEvent(new Event("focus")));
  await expect(other.getByRole("switch", { name: "Recordatorios" })).not.toBeChecked();
  await expect(other.getByLabel("Con cuánta anticipación")).toHaveValue("180");
  await one.reload();
  await expect(reminders).not.toBeChecked();
});

test("a choice that is refused goes back, and why is said", async ({ stage }) => {
  const person = await register("patient");
  const page = await stage.open();
  await page.routeWebSocket(/\/v1\/ws/, (line) => {
    const server = line.connectToServer();
    // Less than the server allows.
    line.onMessage((message) => server.send(String(message).replace('"reminderMinutes":60', '"reminderMinutes":5')));
  });
  await enter(page, person.email, PASSWORD);
  await page.goto("/account");
  const ahead = page.getByLabel("Con cuánta anticipación");
  await expect(ahead).toHaveValue("1440");
  await ahead.selectOption({ label: "1 h antes" });
  await expect(page.locator(".toast", { hasText: "Está fuera de los límites." })).toBeVisible();
  await expect(ahead).toHaveValue("1440");
  expect((await chosen(person)).reminderMinutes).toBe(1_440);
});

test("an answer that another device's change has overtaken is not taken", async ({ stage }) => {
  const person = await register("patient");
  const page = await stage.open();
  let asked: string | undefined;
  let release = () => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.routeWebSocket(/\/v1\/ws/, (line) => {
    const server = line.connectToServer();
    line.onMessage((message) => {
      const frame = JSON.parse(String(message));
      if (frame.type === "me.update") asked = frame.id;
      server.send(message);
    });
    server.onMessage(async (message) => {
      if (asked !== undefined && JSON.parse(String(message)).id === asked) await released;
      line.send(message);
    });
  });
  await enter(page, person.email, PASSWORD);
  await page.goto("/account");
  const [reminders, ahead] = [page.getByRole("switch", { name: "Recordatorios" }), page.getByLabel("Con cuánta anticipación")];
  await ahead.selectOption({ label: "3 h antes" });
  await expect.poll(async () => (await chosen(person)).reminderMinutes).toBe(180);
  await rest("PATCH", "/v1/me", { notifications: { reminders: false } }, person.token);
  await page.evaluate(() => dispatchEvent(new Event("focus")));
  await expect(reminders).not.toBeChecked();
  release();
  await expect(page.locator("section", { has: reminders })).toHaveAttribute("aria-busy", "false");
  await expect(reminders).not.toBeChecked();
});

test("what the practice books is told by e-mail, until that is switched off", async ({ stage }) => {
  const at = await practice();
  const [first, second, third, fourth] = (await starts(at)) as [string, string, string, string];
  const [patient, other] = [await confirmed(), await confirmed()];
  /** The times of the bookings of which somebody was told. */
  const told = async (who: Person): Promise<(string | undefined)[]> =>
    (await mailsTo(who.email))
      .filter((mail) => mail.includes("Su cita está reservada.") && mail.includes(`Con: ${at.doctor.name}`))
      .map((mail) => /Fecha y hora: .*, (\d\d:\d\d) /.exec(mail)?.[1])
      .sort();
  await bookFor(at, patient, first);
  await expect.poll(() => told(patient)).toEqual([clock(first)]);

  const page = await stage.open(patient);
  await page.goto("/account");
  await expect(page.getByText("Su correo está sin confirmar: los avisos le llegarán")).toHaveCount(0);
  const changes = page.getByRole("switch", { name: "Cambios en mis citas" });
  await changes.uncheck();
  await expect.poll(async () => (await chosen(patient)).changes).toBe(false);
  await bookFor(at, patient, second);
  // Who is told of a booking is decided in the order of the bookings.
  await bookFor(at, other, third);
  await expect.poll(() => told(other)).toEqual([clock(third)]);
  await changes.check();
  await expect.poll(async () => (await chosen(patient)).changes).toBe(true);
  await bookFor(at, patient, fourth);
  // Each reader is told in that order, too.
  await expect.poll(() => told(patient)).toContain(clock(fourth));
  expect(await told(patient)).toEqual([clock(first), clock(fourth)]);
});

for (const { look, language, options } of LOOKS) {
  test(`no barriers where notices are chosen, ${look}`, async ({ stage }) => {
    for (const person of [await register("patient"), (await practice()).doctor]) {
      const page = await stage.open(person, options);
      await page.locator(".language select").selectOption(language);
      await page.goto("/account");
      await expect(page.getByRole("switch")).toHaveCount(3);
      await wholePage(page);
      await page.getByRole("switch").first().click();
      await expect(page.getByRole("switch").first()).not.toBeChecked();
      await wholePage(page);
    }
  });
}
