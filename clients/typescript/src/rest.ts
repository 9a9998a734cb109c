// One operation as a REST request.

import { CitaError, ownError } from "./error.js";
import type { ClientFrame } from "./link.js";
import { routes, type Problem } from "./protocol.js";

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** The method of an operation and its path below /v1. */
export function routeOf(type: string): [method: string, path: string] {
  const [room = "", verb = ""] = type.split(".");
  const { "": place = `/${room}`, [verb]: route = `POST ~/${verb.replace(/[A-Z]/g, "-$&").toLowerCase()}` } =
    routes[room] ?? {};
  const [method = "", path = ""] = route.replace("~", place).split(" ");
  return [method, path];
}

/** The request of a frame. */
export function restRequest(address: string, token: string | null, frame: ClientFrame): [string, RequestInit] {
  const [method, template] = routeOf(frame.type);
  const fields: Record<string, unknown> = { ...frame.data };
  const path = template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = String(fields[name]);
    delete fields[name];
    return encodeURIComponent(value);
  });
  const headers = authorization(token);
  if (frame.key !== undefined) headers["Idempotency-Key"] = frame.key;
  const isInQuery = method === "GET" || method === "DELETE";
  if (!isInQuery) headers["Content-Type"] = "application/json";
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  const query =
    isInQuery && given.length > 0 ? `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}` : "";
  return [`${address}/v1${path}${query}`, { method, headers, ...(!isInQuery && { body: JSON.stringify(fields) }) }];
}

export const authorization = (token: string | null): Record<string, string> =>
  token === null ? {} : { Authorization: `Bearer ${token}` };

/** The problem of an answer that is none. What is not of this server, a proxy's page say, means that it cannot be reached. */
export async function problemOf(response: Response): Promise<Problem> {
  const body: unknown = await response.json().catch(() => undefined);
  if (typeof body === "object" && body !== null && "code" in body) return body as Problem;
  return {
    code: "unavailable",
    status: response.status,
    title: "Not available.",
    retryable: true,
    outcome: "unknown",
  };
}

/** One request with its answer, or a `CitaError`. */
export async function ask(
  fetch: Fetch,
  [url, init]: [string, RequestInit],
): Promise<{ data: object; response: Response }> {
  try {
    const response = await fetch(url, init);
    if (!response.ok) throw new CitaError(await problemOf(response));
    return { data: (await response.json()) as object, response };
  } catch (error) {
    throw error instanceof CitaError ? error : ownError("offline", { detail: String(error) });
  }
}

/** A request that is not repeated, whatever becomes of it. */
export async function askOnce(
  fetch: Fetch,
  [url, init]: [string, RequestInit],
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<{ data: object }> {
  const abort = new AbortController();
  let why: "timeout" | "aborted" | undefined;
  const giveUp = (because: typeof why): void => {
    why = because;
    abort.abort();
  };
  const onAbort = (): void => giveUp("aborted");
  if (signal?.aborted) onAbort();
  signal?.addEventListener("abort", onAbort);
  const timer = setTimeout(giveUp, timeoutMs, "timeout");
  try {
    return await ask(fetch, [url, { ...init, signal: abort.signal }]);
  } catch (error) {
    throw why ? ownError(why) : error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}
