// The client: requests and live topics over one connection that comes back by itself.

import { Calls, type Answer, type CallOptions } from "./calls.js";
import { Connector, type Connection, type GetToken, type Transport } from "./connection.js";
import { CitaError, ownError } from "./error.js";
import { View, type LiveTopic } from "./live.js";
import { routes, type Hello, type Item, type Operations, type RenewReply, type ServerMessage } from "./protocol.js";
import type { Readable } from "./readable.js";
import { ask, restRequest, type Fetch } from "./rest.js";
import { socketLink, type SocketClass } from "./socket.js";
import { streamLink } from "./stream.js";
import type { Topic } from "./topics.js";
import { Wire } from "./wire.js";

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
  const wires = new Map<string, Wire>();
  const views = new Map<string, unknown>();
  let clockOffsetMs = 0;
  let lastCursor: string | undefined;
  let userId: string | undefined;
  let isUp = false;

  /** What another user was told is not shown to this one. */
  const becomes = (id: string | undefined): void => {
    if (id === userId) return;
    userId = id;
    for (const wire of wires.values()) if (wire.isPrivate) wire.clear();
  };
  const up = (hello: Hello, send: Parameters<Calls["up"]>[0]): void => {
    clockOffsetMs = Date.parse(hello.serverTime) - Date.now();
    becomes(hello.user?.id);
    isUp = true;
    calls.up(send, hello.limits);
    for (const wire of [...wires.values()]) wire.up();
  };
  const frame = (message: ServerMessage, only?: ReadonlySet<string>): void => {
    if (message.type === "reply") {
      if (message.cursor !== undefined) lastCursor = message.cursor;
      calls.reply(message.id, message);
    } else if (message.type === "error" && message.id !== undefined) {
      calls.error(message.id, message.data);
    } else if (message.type === "ping") {
      for (const wire of wires.values()) if (!only || only.has(wire.name)) wire.frame(message);
    } else if ("topic" in message.data) {
      const { topic } = message.data;
      for (const wire of wires.values()) {
        if (typeof topic !== "string" || !wire.has(topic)) continue;
        if (message.type === "error") wire.ended(new CitaError(message.data));
        else wire.frame(message);
      }
    }
  };
  const connector = new Connector({
    getToken,
    transport,
    log,
    links: {
      get websocket() {
        const Socket = options.WebSocket ?? (globalThis.WebSocket as SocketClass | undefined);
        return Socket && socketLink(address(), Socket);
      },
      get sse() {
        return streamLink(address(), fetch);
      },
    },
    up,
    down() {
      isUp = false;
      calls.down();
      for (const wire of wires.values()) wire.down();
    },
    stopped: (reason) => calls.fail(reason),
    frame,
    renew(accessToken, renewed, refused) {
      calls.internal(
        "auth.renew",
        { accessToken },
        (reply) => {
          const renewal = reply as RenewReply;
          becomes(renewal.user?.id);
          renewed(renewal);
          for (const wire of wires.values()) wire.up();
        },
        refused,
      );
    },
  });

  const host = {
    get isUp() {
      return isUp;
    },
    internal: calls.internal.bind(calls),
  };
  const attachments = {
    attach(view: View<Item>, wire: Wire): Wire {
      const shared = wires.get(wire.name) ?? wire;
      wires.set(shared.name, shared);
      shared.viewers.delete(view);
      // The newest is the last.
      shared.viewers.add(view);
      if (shared.error) shared.up();
      else shared.sync();
      return shared;
    },
    detach(wire: Wire): void {
      wire.sync();
      if ([...wire.viewers].some((viewer) => viewer.isWatched)) return;
      wire.clear();
      wire.viewers.clear();
      wires.delete(wire.name);
      for (const key of [...views.keys()]) if (key.startsWith(`${wire.name}|`)) views.delete(key);
    },
  };

  const connected = (signal: AbortSignal | undefined, ms: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const settle = (error?: CitaError): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        // The first call comes before there is a function to leave with.
        queueMicrotask(() => leave());
        if (error) reject(error);
        else resolve();
      };
      const onAbort = () => settle(ownError("aborted"));
      const timer = setTimeout(() => settle(ownError("timeout")), ms);
      signal?.addEventListener("abort", onAbort);
      const leave = connector.state.subscribe(({ state, reason }) => {
        if (signal?.aborted) onAbort();
        else if (state === "connected") settle();
        else if (state === "disconnected") settle(ownError("offline", { detail: reason }));
      });
    });

  /** Sessions begin and end over REST: a token must be had before there is a connection, and cookies can be set. */
  const authenticate = async (type: keyof Operations, data: object, call: CallOptions): Promise<Answer> => {
    const needsToken = type === "auth.logout" || type === "auth.requestVerification";
    const token = needsToken ? await connector.token() : null;
    const ended = AbortSignal.timeout(call.timeoutMs ?? timeoutMs);
    const signal = call.signal ? AbortSignal.any([call.signal, ended]) : ended;
    const [to, init] = restRequest(address(), routes[type].slice(1), token, { type, data });
    return ask(fetch, [to, { ...init, signal }]).catch((error: unknown) => {
      throw signal.aborted ? ownError(ended.aborted ? "timeout" : "aborted") : error;
    });
  };

  return {
    connection: connector.state,
    connect: () => connector.start(),
    disconnect: () => connector.stop(),
    ready: ({ signal, timeoutMs: ms = timeoutMs } = {}) => connected(signal, ms),
    async reauthenticate() {
      if (!connector.isWanted) return;
      const { state, access, transport: over } = connector.state.get();
      const token = await connector.token();
      if (state === "connected" && access === "anonymous" && token !== null && over === "websocket") await connector.renewWith(token);
      else {
        becomes(undefined);
        connector.restart("another user");
      }
      return connected(undefined, timeoutMs);
    },
    now: () => Date.now() + clockOffsetMs,
    async request<K extends Requestable>(type: K, input: Input<K>, call: CallOptions = {}) {
      const [kind = ""] = routes[type];
      const answer = kind === "c" ? authenticate(type, input, call) : calls.call(type, input, kind, call.timeoutMs ?? timeoutMs, call);
      return (await answer).data as Output<K>;
    },
    get lastCursor() {
      return lastCursor;
    },
    topic<T extends Item>(topic: Topic<T>): LiveTopic<T> {
      const key = `${topic.name}|${topic.from}|${topic.to}`;
      const found = views.get(key) as View<T> | undefined;
      if (found) return found;
      const view = new View<T>(topic, wires.get(topic.name) ?? new Wire(topic.name, host), attachments);
      views.set(key, view);
      return view;
    },
  };
}
