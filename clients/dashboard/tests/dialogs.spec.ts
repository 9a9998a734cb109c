// What dialogs owe everybody: notes within reach while one is open, and nothing typed lost by a slip.
import { expect, practice, register, rest, starts, test } from "./clinic";
import { walkIn } from "./visits";

test("a note is heard and its button works while a dialog is open", async ({ stage }) => {
  const at = await practice();
  const { id } = await walkIn(at, "Elvira Solano", 15);
  const page = await stage.open(at.doctor);
  await page.goto("/practice/board");
  await page.locator(`[data-appointment-card="${id}"]`).getByText("Elvira Solano", { exact: true }).click();
  const dialog = page.getByRole("dialog", { name: "Elvira Solano" });
  await dialog.getByRole("button", { name: "Llegó" }).click();
  const note = dialog.getByRole("log");
  await expect(note).toContainText("Elvira Solano: en sala");
  // Under the pointer it stays, whatever the clock says.
  await note.getByRole("button", { name: "Deshacer" }).hover();
  await note.getByRole("button", { name: "Deshacer" }).click();
  await expect.poll(async () => (await rest<{ status: string }>("GET", `/v1/appointments/${id}`, undefined, at.doctor.token)).status).toBe("booked");
  await expect(dialog).toBeVisible();
  // The focus is not lost with the button.
  await expect(page.locator(":focus")).toHaveCount(1);
  await page.keyboard.press("Escape");
  await expect(dialog).toBeHidden();
});

test("what was typed in a dialog goes only when it is let go", async ({ stage }) => {
  const at = await practice();
  const patient = await register("patient");
  const [start] = await starts(at);
  const page = await stage.open(patient);
  await page.goto("/account");
  await page.goto(`/doctors/${at.doctor.id}?${new URLSearchParams({ start: start! })}`);
  const dialog = page.getByRole("dialog", { name: "Reservar la cita" });
  const reason = dialog.getByLabel("Motivo de la consulta");
  await reason.fill("Dolor de rodilla");
  await page.mouse.click(5, 5);
  await page.keyboard.press("Escape");
  const ask = page.getByRole("dialog", { name: "Hay cambios sin guardar" });
  await ask.getByRole("button", { name: "Volver" }).click();
  await expect(ask).toBeHidden();
  await expect(reason).toHaveValue("Dolor de rodilla");
  await page.keyboard.press("Escape");
  await ask.getByRole("button", { name: "Cerrar sin guardar" }).click();
  await expect(dialog).toBeHidden();
});

test("the browser's Back asks before unsaved changes are left", async ({ stage }) => {
  const at = await practice();
  const page = await stage.open(at.doctor);
  await page.goto("/practice/board");
  await page.locator('nav a[href="/settings"]').click();
  await page.locator('a[href="/settings/profile"]').click();
  const field = page.locator("main textarea").first();
  await field.fill(`${await field.inputValue()}x`);
  const address = page.url();
  await page.goBack();
  const ask = page.getByRole("dialog", { name: "Hay cambios sin guardar" });
  await ask.getByRole("button", { name: "Volver" }).click();
  await expect(ask).toBeHidden();
  await expect(page).toHaveURL(address);
  await page.goBack();
  await ask.getByRole("button", { name: "Salir sin guardar" }).click();
  await expect(page).toHaveURL(/\/settings$/);
});

test("a log-out asks before unsaved changes are left", async ({ stage }) => {
  const at = await practice();
  const page = await stage.open(at.doctor);
  await page.goto("/settings/profile");
  const field = page.locator("main textarea").first();
  await field.fill("A medio escribir");
  const out = page.getByRole("button", { name: "Cerrar sesión" });
  await out.click();
  const ask = page.getByRole("dialog", { name: "Hay cambios sin guardar" });
  await ask.getByRole("button", { name: "Volver" }).click();
  await expect(ask).toBeHidden();
  await expect(field).toHaveValue("A medio escribir");
  await expect(out).toBeFocused();
  await out.click();
  await ask.getByRole("button", { name: "Salir sin guardar" }).click();
  await expect(page.getByRole("link", { name: "Iniciar sesión" })).toBeVisible();
});
