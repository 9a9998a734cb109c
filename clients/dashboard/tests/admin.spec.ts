// Admins decide: who may be booked, who may do what, which reviews are shown; what they did is in the audit.
import { DEMO_PASSWORD, PASSWORD, accessible, enter, expect, login, practice, register, rest, test, type Person } from "./clinic";
import { LOOKS, wholePage } from "./looks";
import { reviewed } from "./visits";

const ADMIN = { email: "admin@cita.example", password: DEMO_PASSWORD };
let admin: Person;
test.beforeAll(async () => {
  admin = await login(ADMIN.email);
});
/** A name that nobody else has, on a server that is used more than once. */
const unique = (name: string): string => `${name} ${crypto.randomUUID().slice(0, 8)}`;
const approval = (id: string, to: string): Promise<unknown> => rest("PUT", `/v1/admin/doctors/${id}/approval`, { approval: to }, admin.token);

test("a doctor who waits is approved, and both screens show it", async ({ stage }) => {
  const doctor = await register("doctor", unique("Dra. Espera Aprobación"));
  await approval(doctor.id, "pending");
  const theirs = await stage.open(doctor);
  await theirs.goto("/settings/profile");
  await expect(theirs.getByText(/Su perfil está en revisión/)).toBeVisible();

  const page = await stage.open(ADMIN);
  await page.goto("/admin");
  await page.getByRole("link", { name: /por aprobar/ }).click();
  await page.getByRole("button", { name: `Aprobar: ${doctor.name}` }).press("Enter");
  await expect(theirs.getByText("Aprobado: visible y reservable")).toBeVisible();
  await expect(page.getByText(`${doctor.name}: Aprobado: ya se puede reservar.`)).toBeVisible();
  // A slip is taken back.
  await page.getByRole("button", { name: "Deshacer" }).click();
  await expect(theirs.getByText(/Su perfil está en revisión/)).toBeVisible();

  await page.getByRole("button", { name: `Rechazar: ${doctor.name}` }).click();
  await accessible(page, "dialog");
  await page.getByRole("dialog").getByRole("button", { name: "Rechazar" }).click();
  await expect(theirs.getByText(/La administración no aprobó su perfil/)).toBeVisible();
  await page.getByRole("link", { name: "Rechazados" }).click();
  await expect(page.getByRole("heading", { name: doctor.name })).toBeVisible();
});

test("a role is changed: the other browser is logged out in words, and the audit tells of it", async ({ stage }) => {
  const person = await register("patient", unique("Persona Recepción"));
  stage.expected.push(/status of 401/);
  const theirs = await stage.open(person);
  await theirs.goto("/account");
  const page = await stage.open(ADMIN);
  await page.goto("/admin/users");
  await page.getByLabel("Buscar por correo").fill(person.email);
  await page.getByRole("button", { name: "Buscar", exact: true }).press("Enter");
  await page.getByLabel(`Rol de ${person.name}`).selectOption("staff");
  await expect(page.getByRole("dialog").getByText("Todas sus sesiones se cierran de inmediato")).toBeVisible();
  await accessible(page, "dialog");
  await page.getByRole("dialog").getByRole("button", { name: "Cambiar el rol" }).click();
  await expect(page.getByLabel(`Rol de ${person.name}`)).toHaveValue("staff");
  await expect(theirs.getByText("Su sesión terminó. Entre de nuevo para continuar.")).toBeVisible();

  await page.getByRole("link", { name: `Auditoría: ${person.name}` }).click();
  await expect(page.getByText("rol: personal")).toBeVisible();
  await expect(page.getByText(`Lo que hizo ${person.name}, o se hizo con su cuenta.`)).toBeVisible();

  // Who is staff now can be given to a doctor.
  const doctor = await register("doctor", unique("Dr. Con Personal"));
  await approval(doctor.id, "pending");
  await page.goto("/admin/doctors");
  await page.getByRole("button", { name: `Personal (0): ${doctor.name}` }).click();
  await page.getByRole("dialog").getByLabel(person.name).check();
  await accessible(page, "dialog");
  await page.getByRole("dialog").getByRole("button", { name: "Guardar" }).click();
  await expect(page.getByRole("button", { name: `Personal (1): ${doctor.name}` })).toBeVisible();
  expect(await rest("GET", `/v1/doctors/${doctor.id}`, undefined, admin.token)).toMatchObject({ staff: [person.id] });
});

test("an account is disabled and enabled again", async ({ stage }) => {
  const person = await register("patient", "Persona Bloqueada");
  stage.expected.push(/status of 40[13]/);
  const theirs = await stage.open(person);
  const page = await stage.open(ADMIN);
  await page.goto(`/admin/users?email=${person.email}`);
  await page.getByRole("button", { name: "Bloquear: Persona Bloqueada" }).click();
  await accessible(page, "dialog");
  await page.getByRole("dialog").getByRole("button", { name: "Bloquear" }).click();
  await expect(page.getByText("bloqueada", { exact: true })).toBeVisible();
  await expect(theirs.getByRole("link", { name: "Iniciar sesión" })).toBeVisible();
  await theirs.goto("/login");
  await theirs.locator('input[type="email"]').fill(person.email);
  await theirs.locator('input[autocomplete="current-password"]').fill(PASSWORD);
  await theirs.getByRole("button", { name: "Entrar" }).click();
  await expect(theirs.getByText("Esta cuenta está desactivada. Hable con la clínica.")).toBeVisible();

  await page.getByRole("button", { name: "Desbloquear: Persona Bloqueada" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Desbloquear" }).click();
  await expect(page.getByText("La cuenta ya puede entrar.")).toBeVisible();
  await enter(theirs, person.email, PASSWORD);
});

test("a reported review is hidden, and leaves the doctor's screen", async ({ stage }) => {
  const clinic = await practice({}, unique("Dra. Moderada"));
  const patient = await register("patient");
  const text = unique("Texto que no debería estar");
  const review = await reviewed(clinic, patient, { rating: 1, text });
  await rest("POST", `/v1/reviews/${review.id}/report`, { reason: "Insulta a otra persona." }, clinic.doctor.token);
  const theirs = await stage.open(clinic.doctor);
  await theirs.goto("/settings/reviews");
  await expect(theirs.getByText(text)).toBeVisible();

  const page = await stage.open(ADMIN);
  await page.goto("/admin");
  await page.getByRole("link", { name: /reportada/ }).click();
  const item = page.getByRole("listitem").filter({ hasText: text });
  await expect(item.getByText("Insulta a otra persona.")).toBeVisible();
  await expect(item.getByText(`Sobre ${clinic.doctor.name}`)).toBeVisible();
  await accessible(page);
  await item.getByRole("button", { name: "Ocultar" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Ocultar" }).click();
  await expect(dialog.getByText("Escriba el motivo.")).toBeVisible();
  await accessible(page, "dialog");
  await dialog.getByLabel("Motivo").fill("Insultos");
  await dialog.getByRole("button", { name: "Ocultar" }).click();
  await expect(item).toBeHidden();
  await expect(theirs.getByText("Aún no hay reseñas")).toBeVisible();

  await page.getByRole("link", { name: "Ocultas" }).click();
  await item.getByText("Historial").click();
  await expect(item.getByText("Ocultada por Camila Restrepo: Insultos")).toBeVisible();
  await item.getByRole("button", { name: "Mostrar de nuevo" }).click();
  await dialog.getByLabel("Motivo").fill("Revisada de nuevo");
  await dialog.getByRole("button", { name: "Mostrar de nuevo" }).click();
  await expect(theirs.getByText(text)).toBeVisible();
});

test("a room is made, renamed and archived; a name that is missing is told at its field", async ({ stage }) => {
  const page = await stage.open(ADMIN);
  stage.expected.push(/status of 422/);
  const name = unique("Sala");
  await page.goto("/admin/resources");
  await page.getByRole("button", { name: "Agregar" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Guardar" }).click();
  await expect(dialog.getByLabel("Nombre")).toHaveAttribute("aria-invalid", "true");
  await accessible(page, "dialog");
  await dialog.getByLabel("Nombre").fill(name);
  await dialog.getByRole("button", { name: "Guardar" }).click();
  await page.getByRole("button", { name: `Cambiar: ${name}` }).click();
  await dialog.getByLabel("Nombre").fill(`${name} azul`);
  await dialog.getByLabel("Qué es").selectOption("device");
  await dialog.getByRole("button", { name: "Guardar" }).click();
  const row = page.getByRole("listitem").filter({ hasText: `${name} azul` });
  await expect(row).toContainText("Equipo");
  await row.getByRole("button", { name: /^Archivar/ }).click();
  await dialog.getByRole("button", { name: "Archivar" }).click();
  await expect(row.getByText("archivado")).toBeVisible();
});

test("the audit is narrowed to a person, and accounts go on by pages", async ({ stage }) => {
  const person = await register("patient", "Persona Auditada");
  const page = await stage.open(ADMIN);
  await page.goto("/admin/audit");
  await page.getByLabel("De una persona (correo)").fill("nadie@prueba.example");
  await page.getByRole("button", { name: "Filtrar" }).click();
  await expect(page.getByText("No hay una cuenta con ese correo.")).toBeVisible();
  await page.getByLabel("De una persona (correo)").fill(person.email);
  await page.getByRole("button", { name: "Filtrar" }).click();
  await expect(page.getByText("Cuenta creada")).toHaveCount(1);
  await expect(page.getByText("Inicio de sesión")).toHaveCount(0);
  await page.getByRole("button", { name: "Quitar filtros" }).click();
  await page.goto("/admin/users");
  const rows = page.getByRole("main").getByRole("listitem");
  await expect(rows).toHaveCount(20);
  await page.getByRole("button", { name: "Ver más" }).click();
  await expect.poll(() => rows.count()).toBeGreaterThan(20);
});

test("the health page measures what it says, and tells of a server that is away", async ({ stage }) => {
  stage.expected.push(/ERR_|status of 503/);
  const page = await stage.open(ADMIN);
  await page.goto("/admin/health");
  await expect(page.getByText("Todo funciona")).toBeVisible();
  await expect(page.getByText("WebSocket", { exact: true })).toBeVisible();
  await expect(page.getByText(/mediana de \d+/)).toBeVisible();
  await page.route("**/readyz", (route) => route.fulfill({ status: 503, json: { status: "degraded", clusters: { users: "up", appointments: "down" } } }));
  await page.getByRole("button", { name: "Actualizar" }).click();
  await expect(page.getByText("Una parte no responde; lo demás sigue funcionando")).toBeVisible();
  await page.unroute("**/readyz");
  await page.route("**/readyz", (route) => route.abort());
  await page.getByRole("button", { name: "Actualizar" }).click();
  await expect(page.getByText("El servidor no responde").first()).toBeVisible();
});

const PAGES = [
  { path: "", es: "Administración", en: "Admin" },
  { path: "/doctors?approval=approved", es: "Profesionales", en: "Doctors" },
  { path: "/users", es: "Cuentas", en: "Accounts" },
  { path: "/reviews?show=all", es: "Reseñas", en: "Reviews" },
  { path: "/audit", es: "Auditoría", en: "Audit" },
  { path: "/resources", es: "Salas y equipos", en: "Rooms and devices" },
  { path: "/health", es: "Estado del servicio", en: "State of the service" },
];
for (const { look, language, options } of LOOKS) {
  test(`no page of the administration has a barrier ${look}`, async ({ stage }) => {
    test.slow();
    const page = await stage.open(ADMIN, options);
    await page.locator(".language select").selectOption(language);
    for (const { path, [language]: title } of PAGES) {
      await page.goto(`/admin${path}`);
      await expect(page.getByRole("heading", { name: title, level: 1, exact: true })).toBeVisible();
      await wholePage(page);
    }
  });
}
