// Requests: typed, repeated with one key, bounded, given up.

import { describe, expect } from "vitest";
import { CitaError, type Client } from "../src/index.js";
import { FakeServer } from "./fake.js";
import { proxy } from "./proxy.js";
import { register, startAt, test, until } from "./cast.js";

const failure = (promise: Promise<unknown>): Promise<CitaError> =>
  promise.then(
    (value) => {
      throw new Error(`it succeeded: ${JSON.stringify(value)}`);
    },
    (error: unknown) => {
      if (error instanceof CitaError) return error;
      throw error;
    },
  );

describe.concurrent("with the server", () => {
  test("of two who book one slot, one has it, and the other is told what else is free", async ({ stage }) => {
    const [{ doctorId, service }, first, second] = await Promise.all([
      stage.practice(),
      register("patient"),
      register("patient"),
    ]);
    const clients = await Promise.all([first, second].map((as) => stage.connected({ as })));
    const book = (client: Client) =>
      client.request("appointment.book", { doctorId, serviceId: service.id, start: startAt(2, 3) });
    const results = await Promise.allSettled(clients.map(book));
    const [won] = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    const [lost] = results.flatMap((result) => (result.status === "rejected" ? [result.reason as unknown] : []));
    expect(won).toMatchObject({ status: "booked", start: startAt(2, 3) });
    expect(lost).toBeInstanceOf(CitaError);
    expect(lost).toMatchObject({ code: "slot_taken", status: 409, retryable: false, timeZone: "America/Bogota" });
    expect((lost as CitaError).alternatives?.map(({ start }) => start)).toContain(startAt(2, 2));
  });

  test("a field that is wrong is named", async ({ stage }) => {
    const client = await stage.connected();
    const error = await failure(client.request("doctor.get", { id: "nobody" }));
    expect(error).toMatchObject({
      code: "validation_failed",
      status: 422,
      errors: [{ pointer: "/id", code: "invalid" }],
    });
    expect(error.message).not.toBe("");
  });

  test("a booking whose answer was lost is repeated with its key and made once", async ({ stage }) => {
    const [{ doctorId, service, client: doctor }, patient] = await Promise.all([stage.practice(), register("patient")]);
    const between = await proxy(stage, ({ direction, frame, connection, line }) => {
      if (direction === "down" && connection <= 2 && frame.type === "reply") line.cut();
    });
    const client = await stage.connected({ url: between.url, as: patient });
    const booked = await client.request("appointment.book", { doctorId, serviceId: service.id, start: startAt(2, 0) });
    expect(between.lines).toHaveLength(3);
    const sent = between.passed.filter(({ frame }) => frame.type === "appointment.book").map(({ frame }) => frame);
    expect(sent).toHaveLength(3);
    expect(new Set(sent.map(({ key }) => key)).size).toBe(1);
    const { items } = await doctor.request("appointment.list", { doctorId });
    expect(items.map(({ id }) => id)).toEqual([booked.id]);
  });

  test("a key that the caller keeps makes a second call the same one", async ({ stage }) => {
    const [{ doctorId, service }, patient] = await Promise.all([stage.practice(), register("patient")]);
    const client = await stage.connected({ as: patient });
    const book = () =>
      client.request(
        "appointment.book",
        { doctorId, serviceId: service.id, start: startAt(2, 0) },
        { key: "the form of today" },
      );
    expect(await book()).toEqual(await book());
    const other = client.request(
      "appointment.book",
      { doctorId, serviceId: service.id, start: startAt(2, 1) },
      { key: "the form of today" },
    );
    expect(await failure(other)).toMatchObject({ code: "idempotency_key_reused" });
  });

  test("a key that is taken is good over a WebSocket and over REST, and any other is refused", async ({ stage }) => {
    const as = await register("patient");
    for (const transport of ["websocket", "sse"] as const) {
      const client = await stage.connected({ as, transport });
      const release = (key: string) => failure(client.request("hold.release", { id: as.user.id }, { key }));
      for (const key of ["k", "~ !", "k".repeat(128)]) expect(await release(key)).toMatchObject({ code: "not_found" });
      for (const key of ["", "→", "ñ", " k", "k ", "k\n", "k".repeat(129)])
        expect(await release(key)).toMatchObject({ code: "validation_failed", status: 422, retryable: false });
      expect(client.connection.get()).toMatchObject({ state: "connected", transport });
    }
  });

  test("a read after the cursor of a mutation sees it", async ({ stage }) => {
    const [{ doctorId, service }, patient] = await Promise.all([stage.practice(), register("patient")]);
    const client = await stage.connected({ as: patient });
    expect(client.lastCursor).toBeUndefined();
    const { id } = await client.request("appointment.book", { doctorId, serviceId: service.id, start: startAt(2, 0) });
    const after = client.lastCursor;
    expect(after).toMatch(/./);
    const { items } = await client.request("appointment.list", {
      patientId: patient.user.id,
      ...(after !== undefined && { after }),
    });
    expect(items.map((item) => item.id)).toEqual([id]);
  });

  test("requests that were made before the connection are sent once it is there, in order", async ({ stage }) => {
    const patient = await register("patient");
    const between = await proxy(stage);
    const client = stage.client({ url: between.url, getToken: () => patient.token });
    const answers = Promise.all([
      client.request("me.get", {}),
      client.request("session.list", {}),
      client.request("appointment.list", {}),
    ]);
    client.connect();
    const [me, sessions] = await answers;
    expect(me.id).toBe(patient.user.id);
    expect(sessions.items).toHaveLength(1);
    expect(between.passed.filter(({ direction }) => direction === "up").map(({ frame }) => frame.type)).toEqual([
      "me.get",
      "session.list",
      "appointment.list",
    ]);
  });

  test("many at once are not refused: they take their turn", async ({ stage }) => {
    const client = await stage.connected({ maxQueued: 10 });
    const answers = await Promise.all(
      Array.from({ length: 200 }, () => client.request("doctor.search", { pageSize: 1 })),
    );
    expect(answers).toHaveLength(200);
  });

  test("log-in, refresh and log-out need no connection", async ({ stage }) => {
    const { email, user } = await register("patient");
    const client = stage.client();
    const session = await client.request("auth.login", { email, password: "una frase larga y tranquila" });
    expect(session.user.id).toBe(user.id);
    const next = await client.request("auth.refresh", { refreshToken: session.refreshToken ?? "" });
    const other = stage.client({ getToken: () => next.accessToken });
    expect(await other.request("auth.logout", {})).toEqual({});
    const refused = await failure(client.request("auth.refresh", { refreshToken: next.refreshToken ?? "" }));
    expect(refused.status).toBe(401);
    expect(await failure(client.request("auth.login", { email, password: "not the password" }))).toMatchObject({
      code: "unauthenticated",
    });
  });
});

describe("without an answer", () => {
  test("a time-out says that a mutation may have been made, if it was sent", async ({ stage }) => {
    const between = await proxy(stage, ({ direction, frame }) =>
      direction === "down" && frame.type !== "hello" ? "lose" : undefined,
    );
    const client = await stage.connected({ url: between.url });
    const sent = client.request("hold.release", { id: "0" }, { timeoutMs: 100 });
    expect(await failure(sent)).toMatchObject({ code: "timeout", outcome: "unknown", retryable: true });
    const read = await failure(client.request("me.get", {}, { timeoutMs: 100 }));
    expect(read.code).toBe("timeout");
    expect(read.outcome).toBeUndefined();
    const waiting = stage.client().request("hold.release", { id: "0" }, { timeoutMs: 50 });
    expect(await failure(waiting)).toMatchObject({ code: "timeout", outcome: "not_applied" });
  });

  test("a signal gives up what waits and what is under way", async ({ stage }) => {
    const server = new FakeServer();
    const client = stage.client({ url: "http://cita.example", WebSocket: server.Socket });
    const before = failure(client.request("me.get", {}, { signal: AbortSignal.abort() }));
    expect(await before).toMatchObject({ code: "aborted", retryable: false });
    const waits = new AbortController();
    const waiting = failure(client.request("me.get", {}, { signal: waits.signal }));
    waits.abort();
    expect(await waiting).toMatchObject({ code: "aborted" });
    client.connect();
    const sent = new AbortController();
    const underWay = failure(client.request("hold.release", { id: "0" }, { signal: sent.signal }));
    const { id } = await server.receives("hold.release");
    sent.abort();
    expect(await underWay).toMatchObject({ code: "aborted", outcome: "unknown" });
    // Its late answer is nobody's.
    server.says({ type: "reply", id, data: {} });
    expect(server.received).toEqual([]);
  });

  test("without a connection a request fails at once, where it is told to", async ({ stage }) => {
    const error = await failure(stage.client().request("me.get", {}, { offline: "fail" }));
    expect(error).toMatchObject({ code: "offline", status: 0, retryable: true });
  });

  test("only so many wait for a connection", async ({ stage }) => {
    const client = stage.client({ maxQueued: 2 });
    const waiting = [1, 2].map(() => failure(client.request("me.get", {})));
    expect(await failure(client.request("me.get", {}))).toMatchObject({ code: "offline" });
    client.connect();
    // Nobody is logged in; what counts is that both were answered.
    for (const error of await Promise.all(waiting)) expect(error).toMatchObject({ code: "unauthenticated" });
  });

  test("what waits is rejected when the client is told to disconnect", async ({ stage }) => {
    const server = new FakeServer();
    const client = stage.client({ url: "http://cita.example", WebSocket: server.Socket });
    client.connect();
    const underWay = failure(client.request("hold.release", { id: "0" }));
    await server.receives("hold.release");
    client.disconnect();
    expect(await underWay).toMatchObject({ code: "offline", outcome: "unknown" });
  });
});

describe("what one user has asked for", () => {
  const named = (id: string) => ({ access: "user", user: { id, role: "patient", name: "" } });

  test("is not done in the name of the next", async ({ stage }) => {
    const server = new FakeServer();
    const client = stage.client({ url: "http://cita.example", WebSocket: server.Socket });
    server.hello = {
      ...server.hello,
      ...named("one"),
      limits: { ...(server.hello["limits"] as object), maxInFlight: 5 },
    };
    client.connect();
    await client.ready();
    const sent = failure(client.request("hold.release", { id: "0" }));
    const waiting = failure(client.request("hold.release", { id: "1" }));
    await server.receives("hold.release");
    server.hello = { ...server.hello, ...named("two") };
    const changing = client.reauthenticate();
    const next = client.request("me.get", {});
    expect(await sent).toMatchObject({ code: "aborted", outcome: "unknown" });
    expect(await waiting).toMatchObject({ code: "aborted", outcome: "not_applied" });
    await changing;
    const { id } = await server.receives("me.get");
    server.says({ type: "reply", id, data: { id: "two" } });
    expect(await next).toEqual({ id: "two" });
    expect(server.received).toEqual([]);
  });

  test("is not done by nobody, once the session has ended", async ({ stage }) => {
    const server = new FakeServer();
    const greeting = server.hello;
    const client = stage.client({ url: "http://cita.example", WebSocket: server.Socket });
    server.hello = { ...greeting, ...named("one") };
    client.connect();
    await client.ready();
    const sent = failure(client.request("hold.release", { id: "0" }));
    await server.receives("hold.release");
    server.hello = greeting;
    server.closes(4101);
    expect(await sent).toMatchObject({ code: "aborted", outcome: "unknown" });
    await until(client.connection, ({ state }) => state === "connected");
    expect(server.received).toEqual([]);
  });

  test("goes on when the same user comes back with another token", async ({ stage }) => {
    const server = new FakeServer();
    const client = stage.client({ url: "http://cita.example", WebSocket: server.Socket });
    server.hello = { ...server.hello, ...named("one") };
    client.connect();
    const answer = client.request("hold.release", { id: "0" });
    const { key } = await server.receives("hold.release");
    server.closes(4100);
    const again = await server.receives("hold.release");
    expect(again.key).toBe(key);
    server.says({ type: "reply", id: again.id, data: {} });
    expect(await answer).toEqual({});
  });
});

describe("what may be tried again", () => {
  const unavailable = {
    code: "unavailable",
    status: 503,
    title: "Not available at the moment: try again.",
    retryable: true,
  };

  test("is, with the same key and another id, until it is answered", async ({ stage }) => {
    const server = new FakeServer();
    const client = stage.client({ url: "http://cita.example", WebSocket: server.Socket });
    client.connect();
    const answer = client.request("hold.release", { id: "0" });
    const first = await server.receives("hold.release");
    server.says({ type: "error", id: first.id, data: { ...unavailable, outcome: "unknown" } });
    const second = await server.receives("hold.release");
    server.says({
      type: "error",
      id: second.id,
      data: { code: "rate_limited", status: 429, title: "", retryable: true, retryAfterMs: 5 },
    });
    const third = await server.receives("hold.release");
    server.says({ type: "reply", id: third.id, data: { fine: true } });
    expect(await answer).toEqual({ fine: true });
    expect(new Set([first, second, third].map(({ key }) => key)).size).toBe(1);
    expect(new Set([first, second, third].map(({ id }) => id)).size).toBe(3);
  });

  test("ends with what the server said last, when the time is over", async ({ stage }) => {
    const server = new FakeServer();
    const client = stage.client({ url: "http://cita.example", WebSocket: server.Socket });
    client.connect();
    const answer = failure(client.request("hold.release", { id: "0" }, { timeoutMs: 80 }));
    const first = await server.receives("hold.release");
    server.says({
      type: "error",
      id: first.id,
      data: { ...unavailable, outcome: "not_applied", retryAfterMs: 60_000 },
    });
    expect(await answer).toMatchObject({ code: "unavailable", outcome: "not_applied" });
  });

  test("stays unknown once an attempt was not answered, whatever a later one says of itself", async ({ stage }) => {
    const server = new FakeServer();
    const client = stage.client({ url: "http://cita.example", WebSocket: server.Socket });
    client.connect();
    const answer = failure(client.request("hold.release", { id: "0" }, { timeoutMs: 2_000 }));
    await server.receives("hold.release");
    server.closes(1006);
    const second = await server.receives("hold.release");
    server.says({
      type: "error",
      id: second.id,
      data: { ...unavailable, outcome: "not_applied", retryAfterMs: 60_000 },
    });
    expect(await answer).toMatchObject({ code: "unavailable", outcome: "unknown" });
  });

  test("stays unknown behind a refusal that says nothing of it", async ({ stage }) => {
    const server = new FakeServer();
    const client = stage.client({ url: "http://cita.example", WebSocket: server.Socket });
    client.connect();
    const limited = { code: "rate_limited", status: 429, title: "", retryable: true, retryAfterMs: 60_000 };
    const answers = ["0", "1"].map((id) => failure(client.request("hold.release", { id }, { timeoutMs: 2_000 })));
    const first = await server.receives("hold.release");
    server.says({ type: "error", id: first.id, data: limited });
    await server.receives("hold.release");
    server.closes(1006);
    const again = await server.receives("hold.release");
    server.says({ type: "error", id: again.id, data: limited });
    const [never, perhaps] = await Promise.all(answers);
    expect([never?.code, never?.outcome]).toEqual(["rate_limited", undefined]);
    expect([perhaps?.code, perhaps?.outcome]).toEqual(["rate_limited", "unknown"]);
  });

  test("is what was asked for, though the caller's object changes meanwhile", async ({ stage }) => {
    const server = new FakeServer();
    const client = stage.client({ url: "http://cita.example", WebSocket: server.Socket });
    const form = { id: "0" };
    const answer = client.request("hold.release", form);
    form.id = "1";
    client.connect();
    const { id, data } = await server.receives("hold.release");
    expect(data).toEqual({ id: "0" });
    server.says({ type: "reply", id, data: {} });
    await answer;
  });

  test("a message that is too large is not sent, since it would end the connection", async ({ stage }) => {
    const client = await stage.connected();
    const large = client.request("doctor.search", { text: "ñ".repeat(40_000) });
    const small = client.request("doctor.search", { pageSize: 1 });
    expect(await failure(large)).toMatchObject({ code: "message_too_large", status: 413 });
    expect((await small).items).toHaveLength(1);
    expect(client.connection.get().state).toBe("connected");
  });
});

test("the clock is the server's", async ({ stage }) => {
  const server = new FakeServer();
  server.hello = { ...server.hello, serverTime: new Date(Date.now() + 3_600_000).toISOString() };
  const client = stage.client({ url: "http://cita.example", WebSocket: server.Socket });
  client.connect();
  await until(client.connection, ({ state }) => state === "connected");
  expect(Math.abs(client.now() - Date.now() - 3_600_000)).toBeLessThan(5_000);
});
