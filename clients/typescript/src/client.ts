// The client: requests and live topics over one connection that comes back by itself.

import { Calls, type Answer, type CallOptions } from "./calls.js";
import { ownError, type CitaError } from "./error.js";
import { Connector, type Connection, type GetToken, type Transport } from "./connection.js";
import type { LiveTopic } from "./live.js";
import type { Item, Operations, RenewReply } from "./protocol.js";
import type { Readable } from "./readable.js";
import { Registry } from "./registry.js";
import { askOnce, restRequest, routeOf, type Fetch } from "./rest.js";
import { socketLink, type SocketClass } from "./socket.js";
import { streamLink } from "./stream.js";
import type { Topic } from "./topics.js";

/** Operations that the connection itself sends are not among them. */
export type Requestable = Exclude<keyof Operations, "subscribe" | "unsubscribe" | "auth.renew">;
export type Input<K extends keyof Operations> = Operations[K]["input"];
export type Output<K extends keyof Operations> = Operations[K]["output"];

export interface ClientOptions {
  /** Asked before each connection, and when a token ends. A `CitaError` of status 401 ends the attempts, any other is tried again. */
  getToken?: GetToken;
  /** Where the platform has none, as Node 20: the class of the package ws. */
  WebSocket?: SocketClass;
  fetch?: Fetch;
  timeoutMs?: number;
  /** How many requests may wait for a connection. */
  maxQueued?: number;
  transport?: Transport | "auto";
  log?: (line: string) => void;
}

export interface Client {
  readonly connection: Readable<Connection>;
  connect(): void;
  disconnect(): void;
  /** Resolves once connected. */
  ready(options?: { signal?: AbortSignal; timeoutMs?: number }): Promise<void>;
  /** After a log-in or a log-out: asks for the token anew and is connected as that user when it resolves. */
  reauthenticate(): Promise<void>;
  /** Milliseconds since the epoch by the server's clock. */
  now(): number;
  request<K extends Requestable>(type: K, input: Input<K>, options?: CallOptions): Promise<Output<K>>;
  /** Of the latest answer to a mutation: `after` of a read that has to see it. */
  readonly lastCursor: string | undefined;
  topic<T extends Item>(topic: Topic<T>): LiveTopic<T>;
}

/** Nothing is opened before `connect`, so that a page can be rendered on a server. An empty `url` is the page's own origin. */
export function createClient(url: string, options: ClientOptions = {}): Client {
  const { getToken = () => null, timeoutMs = 10_000, maxQueued = 100, transport = "auto", log = () => {} } = options;
  const address = (): string => (url || globalThis.location.origin).replace(/\/$/, "");
  const fetch: Fetch = (to, init) => (options.fetch ?? globalThis.fetch)(to, init);
  const calls = new Calls(maxQueued);
  const registry = new Registry(calls);
  let clockOffsetMs = 0;
  let lastCursor: string | undefined;
  let userId: string | undefined;
  /** The last session that began here is one of cookies. */
  let hasCookies = false;

  /** What one user was told is not shown to another, and what one has asked for is not done in the name of another. */
  const becomes = (id: string | undefined): void => {
    if (id === userId) return;
    const error = ownError("aborted", { detail: "Another user has logged in, or nobody." });
    if (userId !== undefined) calls.fail(error);
    userId = id;
    registry.forget();
  };
  const connector = new Connector({
    getToken,
    transport,
    log,
    open(over) {
      if (over === "sse") return streamLink(address(), fetch);
      const Socket = options.WebSocket ?? (globalThis.WebSocket as SocketClass | undefined);
      return Socket && socketLink(address(), Socket);
    },
    up({ serverTime, user, limits }, send) {
      clockOffsetMs = Date.parse(serverTime) - Date.now();
      becomes(user?.id);
      calls.up(send, limits);
      registry.up();
    },
    down() {
      calls.down();
      registry.down();
    },
    stopped(error) {
      calls.fail(error);
      if (error.status === 401) becomes(undefined);
    },
    frame(frame, topics) {
      if (frame.type === "reply") {
        if (frame.cursor !== undefined) lastCursor = frame.cursor;
        calls.reply(frame.id, frame);
      } else if (frame.type === "error" && frame.id !== undefined) calls.error(frame.id, frame.data);
      else registry.frame(frame, topics);
    },
    renew(accessToken, renewed, refused) {
      const answered = (reply: object): void => {
        const renewal = reply as RenewReply;
        becomes(renewal.user?.id);
        renewed(renewal);
        registry.up();
      };
      calls.internal("auth.renew", { accessToken }, answered, refused);
    },
  });

  /** Sessions begin and end over REST: a token must be had before there is a connection, and cookies can be set. */
  const authenticate = async (type: Requestable, data: object, call: CallOptions): Promise<Answer> => {
    const isLogout = type === "auth.logout";
    const send = (token: string | null): Promise<Answer> => {
      const request = restRequest(address(), token, { type, data });
      return askOnce(fetch, request, call.timeoutMs ?? timeoutMs, call.signal);
    };
    const token = isLogout || type === "auth.requestVerification" ? await connector.token() : null;
    // Cookies are removed where they alone tell who it is. They may have ended before the session.
    const first = isLogout && hasCookies ? null : token;
    const answer = await send(first).catch((error: CitaError) => {
      if (first === token || error.status !== 401) throw error;
      return send(token);
    });
    if ("accessToken" in answer.data) hasCookies = !("refreshToken" in answer.data);
    return answer;
  };

  return {
    connection: connector.state,
    connect: () => connector.start(),
    disconnect: () => connector.stop(),
    ready: (within = {}) => connector.ready(within.timeoutMs ?? timeoutMs, within.signal),
    async reauthenticate() {
      if (await connector.reauthenticate(() => becomes(undefined))) await connector.ready(timeoutMs);
    },
    now: () => Date.now() + clockOffsetMs,
    async request<K extends Requestable>(type: K, input: Input<K>, call: CallOptions = {}) {
      const isMutation = routeOf(type)[0] !== "GET";
      const ms = call.timeoutMs ?? timeoutMs;
      const answer = type.startsWith("auth.")
        ? authenticate(type, input, call)
        : calls.call(type, input, isMutation, ms, call);
      return (await answer).data as Output<K>;
    },
    get lastCursor() {
      return lastCursor;
    },
    topic: (topic) => registry.view(topic),
  };
}
