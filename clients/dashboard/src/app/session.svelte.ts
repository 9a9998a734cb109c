// Who is logged in, and the connection to Cita. The refresh token is a cookie that no script can read; the access token lives in memory alone.
import { CitaError, createClient, type Connection, type User } from "@cita/client";
import { fromStore } from "svelte/store";
import { keep, kept, locale } from "./i18n.svelte";
import { forget } from "./remembered.svelte";

/** Who has a session to go on with. Visitors are spared a request that would be refused, and an agenda opens without a network. */
const KEPT = "cita.session";
const POST_MS = 15_000;

type Status = "starting" | "anonymous" | "user";
interface Granted {
  accessToken: string;
  expiresAt: string;
  user: User;
}

class Session {
  status = $state<Status>("starting");
  user = $state.raw<User>();
  /** A log-in that ended without being asked to: the log-in page says so. */
  ended = $state(false);
  #token: string | undefined;

  /** For the client: the token at hand, or a new one by the cookie. */
  async token(rejected: boolean): Promise<string | null> {
    const old = this.#token;
    if (old && !rejected) return old;
    if (kept(KEPT) === null && !this.user) return this.#become(undefined);
    return withLock(async () => {
      // Logged in, renewed or logged out meanwhile.
      if (this.#token && this.#token !== old) return this.#token;
      if (kept(KEPT) === null && !this.user) return this.#become(undefined);
      const refreshed = await post<Granted>("/v1/auth/refresh", { session: "cookie" }).catch(orRefused);
      if (!refreshed) {
        this.ended = true;
        // What proves nothing any more would be in the way of the next handshake.
        await forgotten();
      }
      return this.#become(refreshed);
    });
  }

  login(email: string, password: string): Promise<User> {
    return this.#enter("/v1/auth/login", { email, password });
  }

  register(account: { email: string; password: string; name: string; role: "patient" | "doctor" }): Promise<User> {
    const timeZone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    return this.#enter("/v1/auth/register", { ...account, locale: locale.tag, timeZone });
  }

  logout(): Promise<void> {
    return this.#leave(end);
  }

  /** After the account was closed. Its cookies would be in the way of the next handshake. */
  closed(): Promise<void> {
    return this.#leave(() => forgotten().catch(() => false));
  }

  /** Once the cookies are gone, nobody is logged in. What asks for a token meanwhile waits, and finds nobody. */
  async #leave(drop: () => Promise<unknown>): Promise<void> {
    await withLock(async () => {
      await drop();
      this.#become(undefined);
    });
    // Nobody has to wait for the connection of nobody.
    void cita.reauthenticate().catch(() => {});
  }

  /** Asks who one is by now: no topic tells. */
  async look(): Promise<void> {
    this.took(await cita.request("me.get", {}));
  }

  /** Takes what `me.get` or `me.update` answered, unless that was overtaken by a change, or by somebody else's log-in. */
  took(user: User): void {
    if (user.id !== this.user?.id || user.rev < this.user.rev) return;
    this.user = user;
    keep(KEPT, JSON.stringify(user));
  }

  async #enter(path: string, account: object): Promise<User> {
    const { user } = await withLock(async () => {
      // Whoever was here before does not stay logged in behind the next one's back.
      if (this.user) await end();
      const granted = await post<Granted>(path, { ...account, device: device(), session: "cookie" });
      this.ended = false;
      this.#become(granted);
      return granted;
    });
    await cita.reauthenticate();
    return user;
  }

  #become(granted: Granted | undefined): string | null {
    if (granted?.user.id !== this.user?.id) forget();
    this.#token = granted?.accessToken;
    this.user = granted?.user;
    this.status = granted ? "user" : "anonymous";
    keep(KEPT, granted ? JSON.stringify(granted.user) : null);
    if (granted) locale.follow(granted.user.locale);
    return this.#token ?? null;
  }

  constructor() {
    // Until the server says otherwise, the last one who was here: pages show what they remember.
    try {
      this.user = JSON.parse(kept(KEPT) ?? "") as User;
      this.status = "user";
    } catch {
      // Nobody.
    }
    // Another tab logged in or out.
    addEventListener("storage", ({ key, newValue }) => {
      if (key !== KEPT) return;
      const other = newValue === null ? undefined : (JSON.parse(newValue) as User);
      const isSame = other?.id === this.user?.id;
      if (other === undefined || isSame) this.user = other;
      if (isSame) return;
      this.#token = undefined;
      cita.reauthenticate().catch(() => {});
    });
  }
}

export const session = new Session();
export const cita = createClient("", { getToken: ({ rejected }) => session.token(rejected) });
export { topics, CitaError } from "@cita/client";

/** State of the connection, for components. */
export const connection: { readonly current: Connection } = fromStore(cita.connection);

export const can = (roles: readonly User["role"][] | undefined): boolean => !roles || (session.user !== undefined && roles.includes(session.user.role));

/** A request over REST, for what concerns cookies. Other tabs wait for its end. */
async function post<T>(path: string, body: object): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(POST_MS),
    });
  } catch {
    throw new CitaError({ code: "offline", status: 0, title: "offline", retryable: true });
  }
  const data = await response.json().catch(() => undefined);
  if (response.ok && data) return data as T;
  throw new CitaError(data ?? { code: "unavailable", status: 503, title: response.statusText, retryable: true });
}

/** Ends the session of the cookies. One whose access token is over is renewed first: it must end. Called under the lock. */
async function end(): Promise<void> {
  if (await forgotten()) return;
  await post("/v1/auth/refresh", { session: "cookie" }).catch(orRefused);
  await forgotten();
}

/** Ends the session of the cookies and removes them; `false` when they prove nothing (any more). */
async function forgotten(): Promise<boolean> {
  try {
    await post("/v1/auth/logout", {});
    return true;
  } catch (error) {
    if (error instanceof CitaError && error.status === 401) return false;
    throw error;
  }
}

/** Refused is the end of a session; anything else is not known, and is tried again by the client. */
function orRefused(error: unknown): undefined {
  if (error instanceof CitaError && (error.status === 401 || error.status === 403)) return undefined;
  throw error;
}

/** Cookies change for one tab and one request at a time: each finds those of the one before, and a renewal under way does not undo a log-out. */
async function withLock<T>(run: () => Promise<T>): Promise<T> {
  return navigator.locks ? navigator.locks.request("cita.refresh", run) : run();
}

/** What the list of devices calls this one. */
function device(): string {
  const agent = navigator.userAgent;
  const browser = /Edg\//.test(agent) ? "Edge" : /Firefox\//.test(agent) ? "Firefox" : /Chrom(e|ium)\//.test(agent) ? "Chrome" : /Safari\//.test(agent) ? "Safari" : "Browser";
  const system = /Android/.test(agent) ? "Android" : /iPhone|iPad/.test(agent) ? "iOS" : /Windows/.test(agent) ? "Windows" : /Mac OS/.test(agent) ? "macOS" : /Linux/.test(agent) ? "Linux" : "";
  return system ? `${browser}, ${system}` : browser;
}
