// Registering, logging in and out on several devices, the links of e-mails, languages, and leaving.
import { readFile } from "node:fs/promises";
import type { Page, WebSocket } from "@playwright/test";
import { PASSWORD, PHONE, accessible, enter, expect, register, test } from "./clinic";
import { mailed } from "./mails";

test("somebody registers, leaves, and comes back", async ({ stage }) => {
  const page = await stage.open();
  const email = `${crypto.randomUUID()}@prueba.example`;
  stage.expected.push(/status of (401|409|422)/);
  await page.goto("/register");
  await page.getByLabel("Nombre y apellidos").fill("Ana Prueba");
  await page.getByLabel("Correo electrónico").fill(email);
  await page.getByLabel("Contraseña", { exact: true }).fill("corta");
  await page.getByRole("button", { name: "Crear cuenta" }).click();
  await expect(page.getByText("Use más caracteres.")).toBeVisible();
  await accessible(page);
  await page.getByLabel("Contraseña", { exact: true }).fill(PASSWORD);
  await page.getByRole("button", { name: "Crear cuenta" }).click();
  await expect(page.getByRole("link", { name: "Ana Prueba" })).toBeVisible();

  // The page to register at has a link to log in, too.
  await expect(page).not.toHaveURL(/register/);

  // The session outlives the page: its token is a cookie that no script can read.
  await page.reload();
  await expect(page.getByRole("link", { name: "Ana Prueba" })).toBeVisible();
  expect(await page.evaluate(() => document.cookie)).toBe("");
  await page.getByRole("button", { name: "Cerrar sesión" }).click();
  await expect(page.getByRole("link", { name: "Iniciar sesión" })).toBeVisible();
  expect(await page.context().cookies()).toEqual([]);

  await page.goto("/account");
  await expect(page).toHaveURL(/\/login\?next=%2Faccount/);
  await page.getByLabel("Correo electrónico").fill(email);
  await page.getByLabel("Contraseña", { exact: true }).fill("otra cosa muy distinta");
  await page.getByRole("button", { name: "Entrar" }).click();
  await expect(page.getByRole("alert")).toHaveText("El correo o la contraseña no son correctos.");
  await accessible(page);
  await page.getByLabel("Contraseña", { exact: true }).fill(PASSWORD);
  await page.getByRole("button", { name: "Entrar" }).click();
  await expect(page.getByRole("heading", { name: "Mi cuenta" })).toBeVisible();
});

/** Holds the answers to a path, with their cookies, until they are released. */
async function held(page: Page, path: string): Promise<{ arrived: Promise<void>; release: () => void }> {
  let arrive = () => {};
  const arrived = new Promise<void>((resolve) => (arrive = resolve));
  let release = () => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route(`**${path}`, async (route) => {
    // Not by `route.fetch`, which gives the browser its cookies at once.
    const request = route.request();
    const response = await fetch(request.url(), { method: "POST", headers: await request.allHeaders(), body: request.postData() });
    arrive();
    await released;
    await route.fulfill({ status: response.status, body: await response.text(), headers: { "content-type": "application/json", "set-cookie": response.headers.getSetCookie().join("\n") } });
  });
  return { arrived, release };
}

test("a log-out holds, even when a renewal was on its way", async ({ stage }) => {
  const page = await stage.open(await register("patient"));
  await page.goto("/account");
  const { arrived, release } = await held(page, "/v1/auth/refresh");
  await page.reload();
  await arrived;
  await page.getByRole("button", { name: "Cerrar sesión" }).click();
  // Whatever the press has sent by now is answered before this is.
  await page.evaluate(() => fetch("/livez"));
  const renewed = page.waitForResponse("**/v1/auth/refresh");
  release();
  await (await renewed).finished();
  await expect(page.getByRole("link", { name: "Iniciar sesión" })).toBeVisible();
  await expect(page.getByText("Su sesión terminó.", { exact: false })).toHaveCount(0);
  expect(await page.context().cookies()).toEqual([]);
});

test("a log-out that cannot be made leaves one where one is", async ({ stage }) => {
  const person = await register("patient");
  const page = await stage.open(person);
  stage.expected.push(/ERR_INTERNET_DISCONNECTED/);
  await page.goto("/account");
  await expect(page.getByText("En vivo", { exact: true })).toBeVisible();
  await page.context().setOffline(true);
  await page.getByRole("banner").getByRole("button", { name: "Cerrar sesión" }).click();
  await expect(page.locator(".toast", { hasText: "Sin conexión." })).toBeVisible();
  await expect(page).toHaveURL("/account");
  await expect(page.getByRole("link", { name: person.name })).toBeVisible();
});

test("a log-out does not wait for the connection of nobody", async ({ stage }) => {
  const person = await register("patient");
  const page = await stage.open();
  let isAway = false;
  await page.routeWebSocket(/\/v1\/ws/, (line) => {
    if (!isAway) line.connectToServer();
  });
  await enter(page, person.email, PASSWORD);
  await page.goto("/account");
  await expect(page.getByText("En vivo", { exact: true })).toBeVisible();
  isAway = true;
  await page.getByRole("banner").getByRole("button", { name: "Cerrar sesión" }).click();
  // The client is patient for ten.
  await expect(page).toHaveURL("/", { timeout: 5_000 });
});

test("a log-in holds, even when the session before it ends at the same time", async ({ stage }) => {
  const [one, next] = [await register("patient"), await register("patient")];
  stage.expected.push(/status of 401/);
  const page = await stage.open(one);
  await page.goto("/login");
  await expect(page.getByText("En vivo", { exact: true })).toBeVisible();
  const { arrived, release } = await held(page, "/v1/auth/login");
  let logouts = 0;
  let go = () => {};
  const later = new Promise<void>((resolve) => (go = resolve));
  await page.route("**/v1/auth/logout", async (route) => {
    logouts += 1;
    // That of the one before; any other would end what begins here.
    if (logouts > 1) await later;
    await route.continue();
  });
  await page.getByLabel("Correo electrónico").fill(next.email);
  await page.getByLabel("Contraseña", { exact: true }).fill(PASSWORD);
  await page.getByRole("button", { name: "Entrar" }).click();
  await arrived;
  // The connection has ended with its session, and asks for a token.
  await expect(page.getByText("Conectando…")).toBeVisible();
  release();
  await expect(page.getByRole("link", { name: next.name })).toBeVisible();
  go();
  await expect(page.getByText("En vivo", { exact: true })).toBeVisible();
  await page.reload();
  await expect(page.getByRole("link", { name: next.name })).toBeVisible();
  expect(logouts).toBe(1);
});

test("a log-in that is never answered is given up, and can be tried again", async ({ stage }) => {
  const person = await register("patient");
  const page = await stage.open();
  await page.goto("/login");
  await page.route("**/v1/auth/login", () => {}, { times: 1 });
  await page.getByLabel("Correo electrónico").fill(person.email);
  await page.getByLabel("Contraseña", { exact: true }).fill(PASSWORD);
  await page.getByRole("button", { name: "Entrar" }).click();
  await expect(page.getByRole("alert")).toContainText("Sin conexión.", { timeout: 30_000 });
  await page.getByRole("button", { name: "Entrar" }).click();
  await expect(page.getByRole("link", { name: person.name })).toBeVisible();
});

test("a device logs another one out, which is told at once", async ({ stage }) => {
  const person = await register("patient");
  stage.expected.push(/status of 401/);
  const one = await stage.open(person);
  const other = await stage.open(person);
  await one.goto("/account");
  await other.goto("/account");
  const devices = one.locator("section", { has: one.getByRole("heading", { name: "Dispositivos" }) });
  // That of the registration over REST, and two browsers.
  await expect(devices.getByRole("listitem")).toHaveCount(3);
  await accessible(one);
  await devices.getByRole("button", { name: "Cerrar las demás sesiones" }).click();
  await expect(devices.getByRole("listitem")).toHaveCount(1);
  await expect(other.getByText("Su sesión terminó. Entre de nuevo para continuar.")).toBeVisible();
  await expect(one.getByRole("heading", { name: "Mi cuenta" })).toBeVisible();
  // Nothing that was refused is in the way of the next log-in.
  await enter(other, person.email, PASSWORD);
});

test("an expired token is replaced without a word", async ({ stage }) => {
  const person = await register("patient");
  const page = await stage.open();
  let handshakes = 0;
  // The first two connections find their token too old.
  await page.routeWebSocket(/\/v1\/ws/, async (socket) => {
    handshakes += 1;
    if (handshakes <= 2) await socket.close({ code: 4100, reason: "token expired or invalid" });
    else socket.connectToServer();
  });
  await enter(page, person.email, PASSWORD);
  await page.goto("/account");
  await expect(page.getByText("En vivo", { exact: true })).toBeVisible();
  await expect(page.getByText("este dispositivo")).toBeVisible();
  expect(handshakes).toBeGreaterThan(2);
});

test("a name and a language are changed, on a phone in the dark", async ({ stage }) => {
  const person = await register("patient");
  const page = await stage.open(person, { ...PHONE, colorScheme: "dark" });
  await page.goto("/account");
  const twelve = page.getByRole("button", { name: "12 h: de 1 a 12" });
  await twelve.click();
  await expect(twelve).toHaveAttribute("aria-pressed", "true");
  await page.getByLabel("Nombre y apellidos").fill("Nombre Nuevo");
  await page.getByLabel("Idioma de los correos").selectOption({ label: "English" });
  await page.getByRole("button", { name: "Guardar" }).click();
  await expect(page.getByRole("heading", { name: "My account" })).toBeVisible();
  await accessible(page);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  await page.reload();
  await expect(page.getByLabel("Full name")).toHaveValue("Nombre Nuevo");
  await expect(page.locator("html")).toHaveAttribute("lang", "en");
});

test("a forgotten password is replaced by the link of a mail, an address confirmed by another", async ({ stage }) => {
  const person = await register("patient");
  const page = await stage.open();
  stage.expected.push(/status of 422/);
  await page.goto(`/verify-email#token=${await mailed(person.email, "verify-email")}`);
  await accessible(page);
  await page.getByRole("button", { name: "Confirmar" }).click();
  await expect(page.getByText("Gracias: la dirección está confirmada.")).toBeVisible();
  expect(page.url()).not.toContain("token");

  await page.goto("/forgot-password");
  await accessible(page);
  await page.getByLabel("Correo electrónico").fill(person.email);
  await page.getByRole("button", { name: "Enviar el enlace" }).click();
  await expect(page.getByRole("status").filter({ hasText: "está en camino" })).toBeVisible();
  await page.goto(`/reset-password#token=${await mailed(person.email, "reset-password")}`);
  await accessible(page);
  await page.getByLabel("Contraseña nueva").fill("otra frase muy larga 8");
  await page.getByRole("button", { name: "Guardar" }).click();
  await expect(page.getByText("La contraseña se cambió.")).toBeVisible();
  await enter(page, person.email, "otra frase muy larga 8");
  await page.goto("/reset-password#token=gastado");
  await page.getByLabel("Contraseña nueva").fill("otra frase muy larga 9");
  await page.getByRole("button", { name: "Guardar" }).click();
  await expect(page.getByRole("alert")).toHaveText("El enlace ya no sirve. Pida uno nuevo.");
});

test("somebody takes their data and leaves for good", async ({ stage }) => {
  const person = await register("patient");
  const page = await stage.open(person);
  stage.expected.push(/status of 401/);
  await page.goto("/account");
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Descargar mis datos" }).click();
  const file = JSON.parse(await readFile((await (await download).path())!, "utf8"));
  expect(file.user.email).toBe(person.email);
  await page.getByRole("button", { name: "Cerrar mi cuenta" }).click();
  const dialog = page.getByRole("dialog");
  await accessible(page);
  await dialog.getByRole("button", { name: "Cerrar la cuenta para siempre" }).click();
  await expect(dialog.locator(".error")).toBeVisible();
  await dialog.getByLabel("Para confirmar, escriba su correo").fill(person.email);
  await dialog.getByRole("button", { name: "Cerrar la cuenta para siempre" }).click();
  await expect(page.getByText("La cuenta se cerró.")).toBeVisible();
  // As nobody, at once: the cookies of the account are not in the way.
  await expect(page.getByText("En vivo", { exact: true })).toBeVisible();
  expect(await page.context().cookies()).toEqual([]);
  await page.goto("/login");
  await page.getByLabel("Correo electrónico").fill(person.email);
  await page.getByLabel("Contraseña", { exact: true }).fill(PASSWORD);
  await page.getByRole("button", { name: "Entrar" }).click();
  await expect(page.getByRole("alert")).toBeVisible();
});

test("an account that was closed is not called a session that ended, however long the cookies take to go", async ({ stage }) => {
  const person = await register("patient");
  const page = await stage.open(person);
  stage.expected.push(/status of 401/);
  let socket: WebSocket | undefined;
  page.on("websocket", (opened) => (socket = opened));
  await page.goto("/account");
  await expect(page.getByText("En vivo", { exact: true })).toBeVisible();
  // The last one: that of the log-in may have come as late.
  const lost = socket!.waitForEvent("close");
  let release = () => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route("**/v1/auth/logout", async (route) => {
    await released;
    await route.continue();
  });
  await page.getByRole("button", { name: "Cerrar mi cuenta" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Para confirmar, escriba su correo").fill(person.email);
  await dialog.getByRole("button", { name: "Cerrar la cuenta para siempre" }).click();
  // The connection is closed, which asks for another token; whatever is sent for one by now is answered before this is.
  await lost;
  await page.evaluate(() => fetch("/livez"));
  release();
  await expect(page.getByText("La cuenta se cerró.")).toBeVisible();
  await page.getByRole("link", { name: "Iniciar sesión" }).click();
  await expect(page.getByRole("button", { name: "Entrar" })).toBeVisible();
  await expect(page.getByText("Su sesión terminó.", { exact: false })).toHaveCount(0);
});

test("a page that does not exist, and one for somebody else, say so", async ({ stage }) => {
  const person = await register("patient");
  const page = await stage.open(person);
  await page.goto("/nothing/here");
  await expect(page.getByText("Esta página no existe")).toBeVisible();
  await accessible(page);
  await page.goto("/admin");
  await expect(page.getByText("Esta página es para otro tipo de cuenta")).toBeVisible();
});
