// The connection as a state machine: disconnected, connecting, connected, and back until it is told to stop.

import { pause } from "./backoff.js";
import { CitaError, ownError } from "./error.js";
import type { Link, OpenLink } from "./link.js";
import type { ConnectedUser, Hello, RenewReply, ServerMessage } from "./protocol.js";
import { Store } from "./readable.js";

export type Transport = "websocket" | "sse";

export interface Connection {
  state: "disconnected" | "connecting" | "connected";
  /** Why the state is what it is: a close code of the server, 1000 when it was asked for, 0 before the first attempt. */
  code: number;
  reason: string;
  transport: Transport;
  /** Of the last `hello`. */
  access: "anonymous" | "user";
  user?: ConnectedUser;
  /** When the next attempt begins, in milliseconds since the epoch by this clock. */
  retryAt?: number;
}

/** `rejected`: the last token was refused, or is about to end. `null`: nobody is logged in. */
export type GetToken = (why: { rejected: boolean }) => Promise<string | null> | string | null;

export interface ConnectionOptions {
  getToken: GetToken;
  transport: Transport | "auto";
  /** How to open a link; nothing where the platform has none. */
  open(transport: Transport): OpenLink | undefined;
  log: (line: string) => void;
  /** A connection that can be used. */
  up(hello: Hello, send: Link["send"]): void;
  /** The connection that was up is lost. */
  down(): void;
  /** There will be no other until `start`. */
  stopped(error: CitaError): void;
  frame(frame: ServerMessage, topics?: ReadonlySet<string>): void;
  renew(accessToken: string, renewed: (reply: RenewReply) => void, refused: (error: CitaError) => void): void;
}

const HANDSHAKE_MS = 10_000;
/** Beside two heartbeats. */
const SILENCE_MS = 3_000;
/** Handshakes that fail in a row before the fallback is tried: few where none has ever succeeded. */
const BLOCKED_AFTER = 3;
const AWAY_AFTER = 8;
/** How often the fallback looks whether a WebSocket passes by now. */
const PROBE_MS = 60_000;

const needsToken = (code: number): boolean => code >= 4100 && code < 4200;
const comesBack = (code: number): boolean => !(code >= 4200 && code < 4300) && ![1002, 1003, 1007, 1009].includes(code);

export class Connector {
  readonly state: Store<Connection>;
  readonly #options: ConnectionOptions;
  #transport: Transport;
  #link: Link | undefined;
  #probe: Link | undefined;
  /** Counts links and attempts: what comes from an earlier one is not listened to. */
  #turn = 0;
  #isWanted = false;
  #isUp = false;
  #attempts = 0;
  #failedHandshakes = 0;
  #everUp = false;
  #isRejected = false;
  #asking: Promise<string | null> | undefined;
  /** Counts log-ins and log-outs: what was asked before the last one is not used. */
  #logins = 0;
  #goAwayMs: number | undefined;
  /** Told when the link that there is comes to its end. */
  readonly #dropped = new Set<() => void>();
  #heartbeatMs = 0;
  /** When the token ends for which there was another connection. */
  #expiresAt: string | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #probing: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#transport = options.transport === "sse" ? "sse" : "websocket";
    this.state = new Store<Connection>({
      state: "disconnected",
      code: 0,
      reason: "not asked for",
      transport: this.#transport,
      access: "anonymous",
    });
  }

  start(): void {
    // Whoever asks again does not want to wait for the next try.
    if (this.#isWanted) return this.#online();
    this.#isWanted = true;
    this.#attempts = 0;
    globalThis.addEventListener?.("online", this.#online);
    void this.#open();
  }

  stop(code = 1000, reason = "asked for by the client", error = ownError("offline", { detail: reason })): void {
    if (!this.#isWanted) return;
    this.#isWanted = false;
    globalThis.removeEventListener?.("online", this.#online);
    this.#drop();
    // Who has to log in is nobody.
    this.#become({ state: "disconnected", code, reason, ...(error.status === 401 && { access: "anonymous" }) });
    this.#options.stopped(error);
  }

  /** Another connection, at once. */
  restart(reason: string, change: Partial<Connection> = {}): void {
    if (!this.#isWanted) return;
    this.#drop();
    this.#become({ state: "connecting", code: 1000, reason, ...change });
    void this.#open();
  }

  /** Resolves once connected. */
  ready(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error?: CitaError): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        // The first call comes before there is a function to leave with.
        queueMicrotask(() => leave());
        if (error) reject(error);
        else resolve();
      };
      const onAbort = (): void => settle(ownError("aborted"));
      const timer = setTimeout(() => settle(ownError("timeout")), timeoutMs);
      signal?.addEventListener("abort", onAbort);
      const leave = this.state.subscribe(({ state, reason }) => {
        if (signal?.aborted) onAbort();
        else if (state === "connected") settle();
        else if (state === "disconnected") settle(ownError("offline", { detail: reason }));
      });
    });
  }

  /** Another user, perhaps: `forget` what the last one was told. Whether there is a connection to wait for. */
  async reauthenticate(forget: () => void): Promise<boolean> {
    const { state, code, access } = this.state.get();
    this.#logins++;
    this.#asking = undefined;
    // It was given up for want of a log-in; otherwise nobody wants a connection.
    if (!this.#isWanted && needsToken(code)) this.start();
    if (!this.#isWanted) {
      forget();
      return false;
    }
    if (state === "connected" && access === "anonymous" && this.#transport === "websocket") {
      const turn = this.#turn;
      const token = await this.token().catch(() => null);
      if (token !== null && turn === this.#turn) {
        await this.renewWith(token);
        return this.#isWanted;
      }
    }
    forget();
    // Without a token there may be a cookie.
    this.restart("another user", { access: "anonymous" });
    // A log-in may be asked for now, which ends it.
    if (this.#isWanted) await this.token().catch(() => null);
    return this.#isWanted;
  }

  /** The token to use now; asked for once, however many wait for it. */
  token(): Promise<string | null> {
    return (this.#asking ??= this.#ask(this.#logins));
  }

  async #ask(login: number): Promise<string | null> {
    const { getToken } = this.#options;
    try {
      // Whatever it throws comes later than this call returns.
      const token = await (async () => getToken({ rejected: this.#isRejected }))();
      if (login === this.#logins) {
        this.#isRejected = false;
        return token;
      }
    } catch (error) {
      if (login === this.#logins) throw error;
    } finally {
      if (login === this.#logins) this.#asking = undefined;
    }
    return this.token();
  }

  /** Hands a token over on the connection that there is. Resolves as well when that is lost meanwhile. */
  renewWith(token: string): Promise<void> {
    const turn = this.#turn;
    return new Promise((resolve) => {
      const done = (): void => {
        this.#dropped.delete(done);
        resolve();
      };
      this.#dropped.add(done);
      this.#options.renew(
        token,
        ({ access, user }) => {
          this.#become({ access, ...(user && { user }) });
          done();
        },
        (error) => {
          done();
          if (turn !== this.#turn) return;
          this.#isRejected = error.status === 401;
          this.restart(error.message);
        },
      );
    });
  }

  async #open(): Promise<void> {
    const turn = ++this.#turn;
    const isFirst = this.state.get().state === "disconnected";
    this.#become({ state: "connecting", ...(isFirst && { code: 0, reason: "connecting" }) });
    let token: string | null;
    try {
      token = await this.token();
    } catch (error) {
      if (turn !== this.#turn) return;
      const reason = error instanceof Error ? error.message : String(error);
      if (error instanceof CitaError && error.status === 401) this.stop(4100, reason, error);
      else this.#later(0, `no token: ${reason}`);
      return;
    }
    if (turn !== this.#turn) return;
    this.#connect(turn, token);
  }

  #connect(turn: number, token: string | null): void {
    try {
      const open = this.#options.open(this.#transport);
      if (!open) return this.#options.transport === "auto" ? this.#fallBack() : this.stop(0, "there is no WebSocket");
      this.#listen(HANDSHAKE_MS);
      this.#link = open(token, {
        frame: (frame, topics) => {
          if (turn === this.#turn) this.#frame(frame, topics);
        },
        closed: (code, reason) => {
          if (turn === this.#turn) this.#closed(code, reason);
        },
      });
    } catch (error) {
      // Of a token that fits into no header, for instance.
      this.#closed(1006, String(error));
    }
  }

  #frame(frame: ServerMessage, topics: ReadonlySet<string> | undefined): void {
    if (frame.type === "hello") {
      this.#hello(frame.data);
    } else {
      // A connection that only greets may be closed at once, again and again: those are to wait longer each time.
      if (frame.type !== "goAway" && (frame.type !== "error" || frame.id !== undefined)) this.#attempts = 0;
      if (frame.type === "ping") this.#link?.send({ type: "pong", data: {} });
      else if (frame.type === "authExpiring") void this.#renew(this.#turn, frame.data.expiresAt);
      else if (frame.type === "goAway") this.#goAwayMs = frame.data.reconnectAfterMs;
      this.#options.frame(frame, topics);
    }
    if (this.#isUp) this.#listen(2 * this.#heartbeatMs + SILENCE_MS);
  }

  #hello(hello: Hello): void {
    const { access, user, heartbeatMs } = hello;
    this.#isUp = this.#everUp = true;
    this.#failedHandshakes = 0;
    this.#heartbeatMs = heartbeatMs;
    this.#options.up(hello, (frame) => this.#link?.send(frame));
    if (!this.#isUp) return;
    this.#become({
      state: "connected",
      code: 0,
      reason: "connected",
      transport: this.#transport,
      access,
      ...(user && { user }),
    });
    if (this.#transport === "sse" && this.#options.transport === "auto")
      this.#probing = setTimeout(() => void this.#tryWebSocket(), PROBE_MS);
  }

  #closed(code: number, reason: string): void {
    const wasUp = this.#isUp;
    const goAwayMs = this.#goAwayMs;
    this.#drop();
    if (!comesBack(code)) return this.stop(code, reason);
    if (needsToken(code)) this.#isRejected = true;
    else if (!wasUp && this.#options.transport === "auto") {
      if (this.#transport === "sse") {
        this.#transport = "websocket";
        this.#failedHandshakes = 0;
      } else if (++this.#failedHandshakes >= (this.#everUp ? AWAY_AFTER : BLOCKED_AFTER)) return this.#fallBack();
    }
    this.#later(code, reason, goAwayMs);
  }

  #fallBack(): void {
    this.#transport = "sse";
    void this.#open();
  }

  #later(code: number, reason: string, delay = pause(this.#attempts++)): void {
    this.#become({ state: "connecting", code, reason, transport: this.#transport, retryAt: Date.now() + delay });
    this.#retry = setTimeout(() => this.#now(), delay);
  }

  /** Ends the wait for the next attempt. */
  #now(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    void this.#open();
  }

  /** Ends what there is: link, attempt, timers. */
  #drop(): void {
    this.#turn++;
    for (const timer of [this.#retry, this.#silence, this.#probing]) clearTimeout(timer);
    this.#retry = undefined;
    this.#probe?.close();
    this.#link?.close();
    for (const done of this.#dropped) done();
    this.#probe = this.#link = this.#goAwayMs = undefined;
    if (!this.#isUp) return;
    this.#isUp = false;
    this.#options.down();
  }

  #become(change: Partial<Connection>): void {
    const { retryAt: _, user, ...before } = this.state.get();
    const next = { ...before, ...(user && change.access !== "anonymous" && { user }), ...change };
    this.#options.log(`${next.state}: ${next.code} ${next.reason}`);
    this.state.set(next);
  }

  /** Nothing heard for so long is the end. */
  #listen(ms: number): void {
    clearTimeout(this.#silence);
    // An event stream watches itself: there is nothing to hear without topics.
    if (this.#isUp && this.#heartbeatMs === 0) return;
    this.#silence = setTimeout(() => this.#closed(1006, "nothing heard"), ms);
  }

  #online = (): void => {
    if (this.#retry !== undefined) this.#now();
    else if (this.#isUp) {
      // The network may be another one: a link that lives says so within a heartbeat.
      this.#listen(this.#heartbeatMs + SILENCE_MS);
    }
  };

  async #renew(turn: number, expiresAt: string): Promise<void> {
    this.#isRejected = true;
    try {
      const token = await this.token();
      if (turn !== this.#turn) return;
      if (token !== null && this.#transport === "websocket") return await this.renewWith(token);
      // A stream ends with the token that it was opened with, and a cookie is sent when a connection begins. Where the new one
      // ends at the same time, nothing was renewed: the server will close.
      if (expiresAt === this.#expiresAt) return;
      this.#expiresAt = expiresAt;
      this.restart("a new token");
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#options.log(`no token: ${String(error)}`);
      setTimeout(
        () => {
          if (turn === this.#turn) void this.#renew(turn, expiresAt);
        },
        1_000 + pause(3),
      );
    }
  }

  /** The fallback works; a WebSocket is better. */
  async #tryWebSocket(): Promise<void> {
    const turn = this.#turn;
    const again = () => {
      clearTimeout(this.#probing);
      this.#probe?.close();
      this.#probe = undefined;
      if (turn === this.#turn) this.#probing = setTimeout(() => void this.#tryWebSocket(), PROBE_MS);
    };
    const token = await this.token().catch(() => undefined);
    if (turn !== this.#turn) return;
    if (token === undefined) return again();
    this.#probing = setTimeout(again, HANDSHAKE_MS);
    try {
      this.#probe = this.#options.open("websocket")?.(token, {
        frame: () => {
          if (turn !== this.#turn) return;
          this.#transport = "websocket";
          this.restart("a WebSocket passes again");
        },
        closed: again,
      });
    } catch {
      again();
    }
  }
}
