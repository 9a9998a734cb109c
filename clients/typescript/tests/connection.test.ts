// The connection: when it comes back, when not, and as whom.

import { afterEach, beforeEach, describe, expect, vi } from "vitest";
import { WebSocket } from "ws";
import { CitaError, topics, type Client, type Connection, type Fetch, type GetToken, type Readable } from "../src/index.js";
import { FakeServer } from "./fake.js";
import { proxy } from "./proxy.js";
import { password, register, server as origin, startAt, test, until, watch, type Stage } from "./cast.js";

const is = (state: Connection["state"]) => (connection: Connection) => connection.state === state;
const unauthenticated = () =>
  new CitaError({ code: "unauthenticated", status: 401, title: "Log in.", retryable: false });

function fakeOne(stage: Stage, getToken: GetToken = () => null): { server: FakeServer; client: Client } {
  const server = new FakeServer();
  const { Socket: WebSocket } = server;
  return { server, client: stage.client({ url: "http://cita.example", WebSocket, transport: "websocket", getToken }) };
}

/** Every state from now on, in short. */
function history(connection: Readable<Connection>): string[] {
  const seen: string[] = [];
  connection.subscribe(({ state, code, reason }) => seen.push(`${state} ${code} ${reason}`));
  return seen;
}

describe.concurrent("with the server", () => {
  test("each change of state comes with a code and a reason", async ({ stage }) => {
    const between = await proxy(stage);
    const client = stage.client({ url: between.url });
    const seen = history(client.connection);
    client.connect();
    await client.ready();
    between.lines[0]?.close(4000, "server is stopping");
    await until(client.connection, is("connecting"));
    await client.ready();
    client.disconnect();
    expect(seen).toEqual([
      "disconnected 0 not asked for",
      "connecting 0 connecting",
      "connected 0 connected",
      "connecting 4000 server is stopping",
      "connecting 4000 server is stopping",
      "connected 0 connected",
      "disconnected 1000 asked for by the client",
    ]);
  });

  test("a token that the server does not know is replaced by a new one", async ({ stage }) => {
    const account = await register("patient");
    const asked: boolean[] = [];
    const client = stage.client({
      getToken({ rejected }) {
        asked.push(rejected);
        return rejected ? account.token : "not.a.token";
      },
    });
    const seen = history(client.connection);
    client.connect();
    const { user, access } = await until(client.connection, is("connected"));
    expect([access, user?.id]).toEqual(["user", account.user.id]);
    expect(asked).toEqual([false, true]);
    expect(seen.filter((line) => line.includes("4100"))[0]).toContain("connecting 4100 ");
  });

  test("a session that is ended elsewhere closes the connection, which comes back as nobody's", async ({ stage }) => {
    const account = await register("patient");
    let token: string | null = account.token;
    const client = await stage.connected({
      getToken({ rejected }) {
        if (rejected) token = null;
        return token;
      },
    });
    const seen = history(client.connection);
    const mine = watch(client, topics.myAppointments());
    await until(mine, ({ fresh }) => fresh);
    const elsewhere = await stage
      .client()
      .request("auth.login", { email: account.email, password: "una frase larga y tranquila" });
    const other = await stage.connected({ getToken: () => elsewhere.accessToken });
    await other.request("session.revoke", { id: "others" });
    await until(client.connection, ({ state, access }) => state === "connected" && access === "anonymous");
    expect(seen.some((line) => line.startsWith("connecting 4101 "))).toBe(true);
    const { error, items } = await until(mine, ({ error }) => error !== undefined);
    expect([error?.code, items]).toEqual(["unauthenticated", []]);
  });

  test("a token that is about to end is renewed on the connection that there is", async ({ stage }) => {
    const account = await register("patient");
    const between = await proxy(stage);
    const asked: boolean[] = [];
    let failures = 1;
    const client = await stage.connected({
      url: between.url,
      getToken({ rejected }) {
        asked.push(rejected);
        if (rejected && failures-- > 0) throw new Error("the network is slow");
        return account.token;
      },
    });
    const mine = watch(client, topics.myAppointments());
    await until(mine, ({ fresh }) => fresh);
    const renewed = new Promise<void>((resolve) => {
      let id: string | undefined;
      between.rule = ({ direction, frame }) => {
        if (direction === "up" && frame.type === "auth.renew") id = frame.id;
        if (direction === "down" && frame.type === "reply" && id !== undefined && frame.id === id) resolve();
      };
    });
    between.lines[0]?.say({ type: "authExpiring", data: { expiresAt: "2026-11-24T16:15:02Z" } });
    await renewed;
    expect(asked).toEqual([false, true, true]);
    expect(between.lines).toHaveLength(1);
    expect(mine.get().fresh).toBe(true);
  });

  test("somebody who logs in is known on the connection that there is, and their topics begin", async ({ stage }) => {
    const account = await register("patient");
    const between = await proxy(stage);
    let token: string | null = null;
    const client = await stage.connected({ url: between.url, getToken: () => token });
    const mine = watch(client, topics.mySessions());
    await until(mine, ({ error }) => error?.code === "unauthenticated");
    token = account.token;
    await client.reauthenticate();
    expect(client.connection.get()).toMatchObject({
      state: "connected",
      access: "user",
      user: { id: account.user.id },
    });
    await until(mine, ({ fresh, items, error }) => fresh && items.length === 1 && !error);
    expect(between.lines).toHaveLength(1);
  });

  test("what one user was shown is gone before the next is shown anything", async ({ stage }) => {
    const [{ doctorId, service }, first, second] = await Promise.all([
      stage.practice(),
      register("patient"),
      register("patient"),
    ]);
    let token: string | null = first.token;
    const client = await stage.connected({ getToken: () => token });
    await client.request("appointment.book", { doctorId, serviceId: service.id, start: startAt(2, 0) });
    const mine = watch(client, topics.myAppointments());
    const slots = watch(
      client,
      topics.slots(doctorId, service.id, startAt(2, 0).slice(0, 10), startAt(2, 0).slice(0, 10)),
    );
    await until(mine, ({ items }) => items.length === 1);
    await until(slots, ({ fresh }) => fresh);
    token = second.token;
    const seen: number[] = [];
    mine.subscribe(({ items }) => seen.push(items.length));
    const changing = client.reauthenticate();
    await changing;
    expect(client.connection.get().user?.id).toBe(second.user.id);
    await until(mine, ({ fresh }) => fresh);
    expect(mine.get().items).toEqual([]);
    expect(seen.slice(seen.indexOf(0))).not.toContain(1);
    token = null;
    await client.reauthenticate();
    expect(client.connection.get()).toMatchObject({ state: "connected", access: "anonymous" });
    expect(client.connection.get().user).toBeUndefined();
    await until(mine, ({ error }) => error?.code === "unauthenticated");
    await until(slots, ({ fresh }) => fresh);
  });

  test("a link on which nothing is heard is given up", async ({ stage }) => {
    const between = await proxy(stage, ({ frame }) => {
      if (frame.type === "hello") frame.data["heartbeatMs"] = 20;
    });
    const client = await stage.connected({ url: between.url });
    await client.request("doctor.search", { pageSize: 1 });
    for (const line of between.lines) line.freeze();
    const answer = client.request("doctor.search", { pageSize: 1 });
    await until(client.connection, ({ state, reason }) => state === "connecting" && reason === "nothing heard");
    expect((await answer).items).toHaveLength(1);
    expect(between.lines.length).toBeGreaterThan(1);
  });

  test("with a token that cannot be had now, it is tried again", async ({ stage }) => {
    const account = await register("patient");
    let failures = 2;
    const client = stage.client({
      async getToken() {
        if (failures-- > 0) throw new Error("not now");
        return account.token;
      },
    });
    const seen = history(client.connection);
    client.connect();
    await until(client.connection, is("connected"));
    expect(seen.filter((line) => line === "connecting 0 no token: not now").length).toBeGreaterThanOrEqual(2);
    expect(client.connection.get().user?.id).toBe(account.user.id);
  });

  test("a session that is ended elsewhere leaves nothing of its user, where a log-in is needed to go on", async ({
    stage,
  }) => {
    const account = await register("patient");
    const client = await stage.connected({
      getToken({ rejected }) {
        if (rejected) throw unauthenticated();
        return account.token;
      },
    });
    const mine = watch(client, topics.mySessions());
    await until(mine, ({ items }) => items.length === 1);
    await stage.client({ getToken: () => account.token }).request("auth.logout", {});
    await until(client.connection, is("disconnected"));
    expect(client.connection.get()).toMatchObject({ code: 4100, access: "anonymous" });
    expect(client.connection.get().user).toBeUndefined();
    expect(mine.get()).toMatchObject({ items: [], fresh: false });
  });

  test("where a log-in is needed it ends, and begins again after it", async ({ stage }) => {
    const account = await register("patient");
    let token: string | undefined;
    const client = stage.client({
      getToken() {
        if (token === undefined) throw unauthenticated();
        return token;
      },
    });
    const waiting = client.request("me.get", {});
    client.connect();
    await expect(waiting).rejects.toMatchObject({ code: "unauthenticated" });
    expect(client.connection.get()).toMatchObject({ state: "disconnected", code: 4100, reason: "Log in." });
    await expect(client.ready()).rejects.toMatchObject({ code: "offline" });
    token = account.token;
    await client.reauthenticate();
    expect(client.connection.get()).toMatchObject({ state: "connected", user: { id: account.user.id } });
    const mine = watch(client, topics.mySessions());
    await until(mine, ({ items }) => items.length === 1);
    token = undefined;
    await client.reauthenticate();
    expect(client.connection.get()).toMatchObject({ state: "disconnected", code: 4100, access: "anonymous" });
    expect(client.connection.get().user).toBeUndefined();
    expect(mine.get().items).toEqual([]);
  });
});

describe("close codes", () => {
  test.for([4200, 4242, 4299, 1002, 1003, 1007, 1009])(
    "%i is the end, until connect is called",
    async (code, { stage }) => {
      const { server, client } = fakeOne(stage);
      client.connect();
      await until(client.connection, is("connected"));
      const waiting = client.request("me.get", {});
      server.closes(code, "do not come back");
      expect(client.connection.get()).toMatchObject({ state: "disconnected", code, reason: "do not come back" });
      await expect(waiting).rejects.toMatchObject({ code: "offline" });
      expect(server.connections).toHaveLength(1);
      client.connect();
      await until(client.connection, is("connected"));
      expect(server.connections).toHaveLength(2);
    },
  );

  test.for([4000, 4001, 4099, 4500, 1001, 1006, 1011, 1012])(
    "%i comes back with the same token",
    async (code, { stage }) => {
      const server = new FakeServer();
      const asked: boolean[] = [];
      const getToken = ({ rejected }: { rejected: boolean }): string => {
        asked.push(rejected);
        return "a.b.c";
      };
      const client = stage.client({
        url: "http://cita.example",
        WebSocket: server.Socket,
        transport: "websocket",
        getToken,
      });
      client.connect();
      await until(client.connection, is("connected"));
      server.closes(code);
      await until(client.connection, is("connecting"));
      await until(client.connection, is("connected"));
      expect(asked).toEqual([false, false]);
      expect(server.connections.map(({ protocols }) => protocols)).toEqual([
        ["cita.v1", "bearer.a.b.c"],
        ["cita.v1", "bearer.a.b.c"],
      ]);
    },
  );

  test.for([4100, 4101, 4199])("%i asks for another token first", async (code, { stage }) => {
    const server = new FakeServer();
    const client = stage.client({
      url: "http://cita.example",
      WebSocket: server.Socket,
      transport: "websocket",
      getToken: ({ rejected }) => (rejected ? null : "a.b.c"),
    });
    client.connect();
    await until(client.connection, is("connected"));
    server.closes(code);
    await until(client.connection, is("connecting"));
    await until(client.connection, is("connected"));
    expect(server.connections.map(({ protocols }) => protocols)).toEqual([["cita.v1", "bearer.a.b.c"], ["cita.v1"]]);
  });
});

describe("a log-in while a token is asked for", () => {
  test("asks anew, and what was asked before is not used", async ({ stage }) => {
    const server = new FakeServer();
    const answers: ((token: string | null) => void)[] = [];
    const client = stage.client({
      url: "http://cita.example",
      WebSocket: server.Socket,
      transport: "websocket",
      getToken: () => new Promise((resolve) => answers.push(resolve)),
    });
    client.connect();
    answers[0]?.(null);
    await client.ready();
    // Two log-ins, one after the other: the first token comes last.
    const logins = [client.reauthenticate(), client.reauthenticate()];
    expect(answers).toHaveLength(3);
    answers[2]?.("second");
    await server.receives("auth.renew").then(({ id, data }) => {
      expect(data).toEqual({ accessToken: "second" });
      server.says({ type: "reply", id, data: { access: "user", user: { id: "2", role: "patient", name: "" } } });
    });
    answers[1]?.("first");
    await vi.waitFor(() => expect(answers).toHaveLength(4));
    answers[3]?.("second");
    const { id, data } = await server.receives("auth.renew");
    expect(data).toEqual({ accessToken: "second" });
    server.says({ type: "reply", id, data: { access: "user", user: { id: "2", role: "patient", name: "" } } });
    await Promise.all(logins);
  });

  test("does not wait for an answer that began before it", async ({ stage }) => {
    const server = new FakeServer();
    const answers: ((token: string | null) => void)[] = [];
    const client = stage.client({
      url: "http://cita.example",
      WebSocket: server.Socket,
      transport: "websocket",
      getToken: () => new Promise((resolve) => answers.push(resolve)),
    });
    client.connect();
    const changing = client.reauthenticate();
    expect(answers).toHaveLength(2);
    answers[1]?.("new");
    await changing;
    answers[0]?.("old");
    expect(server.connections.map(({ protocols }) => protocols[1])).toEqual(["bearer.new"]);
  });
});

test("a log-out from a session of cookies leaves none that would be in the way of the next connection", async ({ stage }) => {
  const { email } = await register("patient");
  const jar = new Map<string, string>();
  const cookies = () => [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
  // What a browser does.
  const fetch: Fetch = async (url, init) => {
    const headers = new Headers(init.headers);
    headers.set("Origin", origin);
    if (jar.size > 0) headers.set("Cookie", cookies());
    const response = await globalThis.fetch(url, { ...init, headers });
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      if (cookie.includes("Max-Age=0")) jar.delete(name);
      else jar.set(name, value);
    }
    return response;
  };
  class Socket extends WebSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols, { headers: { Origin: origin, ...(jar.size > 0 && { Cookie: cookies() }) } });
    }
  }
  let token: string | null = null;
  const client = await stage.connected({ fetch, WebSocket: Socket, getToken: () => token });
  token = (await client.request("auth.login", { email, password, session: "cookie" })).accessToken;
  expect(jar.size).toBe(2);
  await client.reauthenticate();
  expect(client.connection.get().access).toBe("user");
  await client.request("auth.logout", {});
  expect([...jar]).toEqual([]);
  token = null;
  await client.reauthenticate();
  expect(client.connection.get()).toMatchObject({ state: "connected", access: "anonymous" });
});

describe("a change of user", () => {
  const user = { id: "u", role: "patient", name: "" };

  test("while disconnected leaves nothing of the last one", async ({ stage }) => {
    const { server, client } = fakeOne(stage);
    server.hello = { ...server.hello, access: "user", user };
    client.connect();
    await client.ready();
    const mine = watch(client, topics.myAppointments());
    await server.subscribes("me/appointments");
    server.says({ type: "snapshot", cursor: "1", data: { topic: "me/appointments", items: [{ id: "a", rev: 1 }] } });
    expect(mine.get().items).toHaveLength(1);
    client.disconnect();
    expect(mine.get().items).toHaveLength(1);
    await client.reauthenticate();
    expect(mine.get().items).toEqual([]);
  });

  test("that is told twice is over when the connection is lost", async ({ stage }) => {
    const { server, client } = fakeOne(stage, () => "a.b.c");
    client.connect();
    await client.ready();
    const logins = [client.reauthenticate(), client.reauthenticate()];
    await server.receives("auth.renew");
    await server.receives("auth.renew");
    server.closes(1006);
    await Promise.all(logins);
    expect(client.connection.get().state).toBe("connected");
  });

  test("that needs a log-in tells those who wait just that", async ({ stage }) => {
    const { server, client } = fakeOne(stage, ({ rejected }) => {
      if (rejected) throw unauthenticated();
      return "a.b.c";
    });
    server.hello = { ...server.hello, access: "user", user };
    client.connect();
    const waiting = client.request("hold.release", { id: "0" });
    await server.receives("hold.release");
    server.closes(4101);
    await expect(waiting).rejects.toMatchObject({ code: "unauthenticated", outcome: "unknown" });
  });
});

test("a session of cookies goes on with another connection, before its end, and with one alone", async ({ stage }) => {
  const asked: boolean[] = [];
  const { server, client } = fakeOne(stage, ({ rejected }) => {
    asked.push(rejected);
    return null;
  });
  server.hello = { ...server.hello, access: "user", user: { id: "u", role: "patient", name: "" } };
  client.connect();
  await client.ready();
  server.says({ type: "authExpiring", data: { expiresAt: "2026-11-24T16:15:02Z" } });
  await vi.waitFor(() => expect(server.connections).toHaveLength(2));
  await client.ready();
  expect(asked).toEqual([false, true, false]);
  // The cookie was not renewed: it is asked for once more, and the server will close.
  server.says({ type: "authExpiring", data: { expiresAt: "2026-11-24T16:15:02Z" } });
  await vi.waitFor(() => expect(asked).toHaveLength(4));
  server.says({ type: "authExpiring", data: { expiresAt: "2026-11-24T16:25:02Z" } });
  await vi.waitFor(() => expect(server.connections).toHaveLength(3));
});

describe("the time until the next attempt", () => {
  let server: FakeServer;
  beforeEach(() => {
    vi.useFakeTimers();
    // The longest that chance allows.
    vi.spyOn(Math, "random").mockReturnValue(1);
    server = new FakeServer();
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  });
  const start = (stage: Stage) => {
    const client = stage.client({ url: "http://cita.example", WebSocket: server.Socket, transport: "websocket" });
    client.connect();
    return client;
  };
  const wait = (client: { connection: Readable<Connection> }): number =>
    (client.connection.get().retryAt ?? 0) - Date.now();

  test("doubles from half a second to twenty while the server is away", async ({ stage }) => {
    server.isThere = false;
    const client = start(stage);
    const waits: number[] = [];
    for (let attempt = 0; attempt < 8; attempt++) {
      await vi.advanceTimersByTimeAsync(0);
      waits.push(wait(client));
      await vi.advanceTimersByTimeAsync(wait(client));
    }
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000]);
  });

  test("is anything between nothing and its bound", async ({ stage }) => {
    vi.mocked(Math.random).mockReturnValue(0.25);
    server.isThere = false;
    const client = start(stage);
    await vi.advanceTimersByTimeAsync(0);
    expect(wait(client)).toBe(125);
  });

  test("keeps growing when a connection greets and ends, and starts anew once data has come", async ({ stage }) => {
    const client = start(stage);
    const waits: number[] = [];
    for (let attempt = 0; attempt < 4; attempt++) {
      await vi.advanceTimersByTimeAsync(0);
      expect(client.connection.get().state).toBe("connected");
      server.closes(1011);
      waits.push(wait(client));
      await vi.advanceTimersByTimeAsync(wait(client));
    }
    expect(waits).toEqual([500, 1_000, 2_000, 4_000]);
    await vi.advanceTimersByTimeAsync(0);
    server.says({ type: "ping", cursor: "c", data: {} });
    server.closes(1011);
    expect(wait(client)).toBe(500);
  });

  test("is what the server says when it goes away", async ({ stage }) => {
    const client = start(stage);
    await vi.advanceTimersByTimeAsync(0);
    server.says({ type: "goAway", data: { reconnectAfterMs: 12_345 } });
    expect(client.connection.get().state).toBe("connected");
    server.closes(4000);
    expect(wait(client)).toBe(12_345);
    await vi.advanceTimersByTimeAsync(12_344);
    expect(server.connections).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(server.connections).toHaveLength(2);
  });

  test("is over when the browser comes online", async ({ stage }) => {
    const browser = new EventTarget();
    vi.stubGlobal("addEventListener", browser.addEventListener.bind(browser));
    vi.stubGlobal("removeEventListener", browser.removeEventListener.bind(browser));
    server.isThere = false;
    const client = start(stage);
    await vi.advanceTimersByTimeAsync(0);
    expect(client.connection.get().state).toBe("connecting");
    server.isThere = true;
    browser.dispatchEvent(new Event("online"));
    await vi.advanceTimersByTimeAsync(0);
    expect(client.connection.get().state).toBe("connected");
    client.disconnect();
    browser.dispatchEvent(new Event("online"));
    await vi.advanceTimersByTimeAsync(0);
    expect(client.connection.get().state).toBe("disconnected");
  });

  test("comes after two heartbeats and three seconds of silence, and not before", async ({ stage }) => {
    const client = start(stage);
    await vi.advanceTimersByTimeAsync(0);
    await vi.advanceTimersByTimeAsync(42_000);
    server.says({ type: "ping", cursor: "c", data: {} });
    expect(server.received.map(({ type }) => type)).toEqual(["pong"]);
    await vi.advanceTimersByTimeAsync(42_999);
    expect(client.connection.get().state).toBe("connected");
    await vi.advanceTimersByTimeAsync(1);
    expect(client.connection.get()).toMatchObject({ state: "connecting", code: 1006, reason: "nothing heard" });
  });

  test("comes after a handshake that takes ten seconds", async ({ stage }) => {
    server.says = () => {};
    const client = start(stage);
    await vi.advanceTimersByTimeAsync(9_999);
    expect(client.connection.get().retryAt).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(wait(client)).toBe(500);
  });

  test("a client that waits for a connection can give up, and is told when there will be none", async ({ stage }) => {
    server.isThere = false;
    const client = start(stage);
    const late = expect(client.ready({ timeoutMs: 100 })).rejects.toMatchObject({ code: "timeout" });
    const abort = new AbortController();
    const given = expect(client.ready({ signal: abort.signal })).rejects.toMatchObject({ code: "aborted" });
    abort.abort();
    await given;
    await vi.advanceTimersByTimeAsync(100);
    await late;
    const ended = expect(client.ready()).rejects.toMatchObject({ code: "offline" });
    client.disconnect();
    await ended;
  });
});

test("nothing of a browser is touched before connect", async ({ stage }) => {
  expect("location" in globalThis).toBe(false);
  const client = stage.client({ url: "" });
  const live = client.topic(topics.doctor("0"));
  live.subscribe(() => {})();
  expect(live.get()).toEqual({ state: "unsubscribed", items: [], fresh: false });
  expect(client.connection.get().state).toBe("disconnected");
});
