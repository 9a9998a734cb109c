// Networks that let no WebSocket through: requests go over REST, topics over event streams, and nothing else changes.

import { isDeepStrictEqual } from "node:util";
import { afterEach, beforeEach, describe, expect, vi } from "vitest";
import { topics, type Client, type Fetch } from "../src/index.js";
import { inDays, register, startAt, test, until, watch, type Stage } from "./cast.js";
import { FakeServer } from "./fake.js";
import { proxy, type Proxy } from "./proxy.js";

/** A client behind a proxy that refuses upgrades, connected. */
async function blocked(stage: Stage, getToken?: () => string | null): Promise<{ between: Proxy; client: Client }> {
  const between = await proxy(stage);
  between.refusesUpgrades = true;
  const client = await stage.connected({ url: between.url, ...(getToken && { getToken }) });
  return { between, client };
}

const noAccount: Fetch = async () =>
  Response.json({ code: "unauthenticated", status: 401, title: "", retryable: false }, { status: 401 });

describe.concurrent("where upgrades are refused", () => {
  test("the client comes over REST after three failures, and knows who it is", async ({ stage }) => {
    const account = await register("patient");
    const { client } = await blocked(stage, () => account.token);
    expect(client.connection.get()).toMatchObject({
      state: "connected",
      transport: "sse",
      access: "user",
      user: { id: account.user.id, role: "patient" },
    });
    expect((await client.request("me.get", {})).id).toBe(account.user.id);
    const anybody = await blocked(stage);
    expect(anybody.client.connection.get()).toMatchObject({
      state: "connected",
      transport: "sse",
      access: "anonymous",
    });
  });

  test("topics are told, mutations carry their key, errors are the same, and the token stands in a header", async ({
    stage,
  }) => {
    const [{ doctorId, service }, patient] = await Promise.all([stage.practice(), register("patient")]);
    const { between, client } = await blocked(stage, () => patient.token);
    const slots = watch(client, topics.slots(doctorId, service.id, inDays(2), inDays(4)));
    const mine = watch(client, topics.myAppointments());
    await until(slots, ({ fresh, items }) => fresh && items.length === 24);
    await until(mine, ({ fresh }) => fresh);
    const start = startAt(2, 0);
    const { id, rev } = await client.request("appointment.book", { doctorId, serviceId: service.id, start });
    expect(client.lastCursor).toMatch(/./);
    await until(slots, ({ items }) => items.length === 23);
    await until(mine, ({ items }) => items[0]?.id === id);
    await expect(client.request("appointment.book", { doctorId, serviceId: service.id, start })).rejects.toMatchObject({
      code: "slot_taken",
      status: 409,
    });
    await client.request("appointment.reschedule", { id, rev, start: startAt(3, 0) });
    await client.request("appointment.cancel", { id, reason: "ya no" });
    await until(slots, ({ items }) => items.length === 24);
    await until(mine, ({ items }) => items[0]?.status === "cancelled");
    const { items } = await client.request("appointment.list", { patientId: patient.user.id, status: "cancelled" });
    expect(items.map((item) => item.id)).toEqual([id]);
    const own = between.requests.filter(({ headers }) => headers.upgrade === undefined);
    expect(
      own.every(
        ({ headers, url }) => headers.authorization === `Bearer ${patient.token}` && !url.includes(patient.token),
      ),
    ).toBe(true);
    const mutations = own.filter(({ method }) => method === "POST").map(({ headers }) => headers["idempotency-key"]);
    expect(new Set(mutations).size).toBe(4);
    expect(mutations.every(Boolean)).toBe(true);
  });

  test("a stream that is cut is continued with the last id, and nothing is missing", async ({ stage }) => {
    const [{ client: doctor, doctorId, service }, patient] = await Promise.all([stage.practice(), register("patient")]);
    const { between, client } = await blocked(stage, () => patient.token);
    const topic = topics.slots(doctorId, service.id, inDays(2), inDays(4));
    const slots = watch(client, topic);
    const mine = watch(client, topics.myAppointments());
    const serviceId = service.id;
    for (let round = 0; round < 4; round++) {
      await until(slots, ({ fresh }) => fresh);
      await until(mine, ({ fresh }) => fresh);
      between.cutStreams();
      await Promise.all([
        doctor.request("appointment.book", {
          doctorId,
          serviceId,
          start: startAt(2, round),
          walkIn: { name: "Alguien" },
        }),
        client.request("appointment.book", { doctorId, serviceId, start: startAt(3, round) }),
      ]);
    }
    const fresh = await stage.connected({ as: patient });
    const [allSlots, allMine] = [watch(fresh, topic), watch(fresh, topics.myAppointments())];
    await until(allSlots, (state) => state.fresh);
    await until(allMine, (state) => state.fresh);
    await until(slots, ({ fresh, items }) => fresh && isDeepStrictEqual(items, allSlots.get().items));
    await until(mine, ({ fresh, items }) => fresh && isDeepStrictEqual(items, allMine.get().items));
    expect(mine.get().items).toHaveLength(4);
    expect(between.requests.some(({ url, headers }) => url.startsWith("/v1/events") && headers["last-event-id"])).toBe(
      true,
    );
    expect(client.connection.get().transport).toBe("sse");
  });

  test("a request whose answer was lost is repeated with its key", async ({ stage }) => {
    const [{ client: doctor, doctorId, service }, patient] = await Promise.all([stage.practice(), register("patient")]);
    let lost = 0;
    const fetch: Fetch = async (url, init) => {
      const response = await globalThis.fetch(url, init);
      if (init.method === "POST" && lost++ < 2) throw new TypeError("the answer is lost");
      return response;
    };
    const client = await stage.connected({ transport: "sse", fetch, as: patient });
    const { id } = await client.request("appointment.book", { doctorId, serviceId: service.id, start: startAt(2, 0) });
    const { items } = await doctor.request("appointment.list", { doctorId });
    expect(items.map((item) => item.id)).toEqual([id]);
    expect(lost).toBe(3);
  });

  test("one topic that is refused does not keep the others from being told", async ({ stage }) => {
    const [{ doctorId }, patient] = await Promise.all([stage.practice(), register("patient")]);
    const client = await stage.connected({ transport: "sse", as: patient });
    const [waitlist, doctor, mine] = [
      watch(client, topics.waitlist(doctorId)),
      watch(client, topics.doctor(doctorId)),
      watch(client, topics.myAppointments()),
    ];
    await until(doctor, ({ fresh, items }) => fresh && items.length === 1);
    await until(mine, ({ fresh }) => fresh);
    await until(waitlist, ({ error, state }) => error?.code === "forbidden" && state === "unsubscribed");
  });

  test("more topics than a browser has connections for share streams", async ({ stage }) => {
    const [{ client: doctor, doctorId, service }, patient] = await Promise.all([stage.practice(), register("patient")]);
    const between = await proxy(stage);
    const client = await stage.connected({ url: between.url, transport: "sse", as: patient });
    const stores = [];
    for (const topic of [
      topics.doctor(doctorId),
      topics.reviews(doctorId),
      topics.myAppointments(),
      topics.myWaitlist(),
      topics.mySessions(),
    ]) {
      const live = watch<never>(client, topic as never);
      await until(live, ({ fresh }) => fresh);
      stores.push(live);
    }
    await until(
      watch(client, topics.slots(doctorId, service.id, inDays(2), inDays(2))),
      ({ fresh, items }) => fresh && items.length === 8,
    );
    for (const live of stores) await until(live, ({ fresh }) => fresh);
    expect(between.streams()).toBeLessThanOrEqual(4);
    await doctor.request("doctor.update", { id: doctorId, bio: "Nueva" });
    await until(watch(client, topics.doctor(doctorId)), ({ items }) => items[0]?.bio === "Nueva");
  });

  test("a token that is refused is replaced, and the request is repeated", async ({ stage }) => {
    const account = await register("patient");
    const asked: boolean[] = [];
    const client = await stage.connected({
      transport: "sse",
      getToken({ rejected }) {
        asked.push(rejected);
        return rejected ? account.token : "not.a.token";
      },
    });
    expect(client.connection.get().user?.id).toBe(account.user.id);
    expect(asked).toEqual([false, true]);
  });

  test("a session that is ended elsewhere is noticed", async ({ stage }) => {
    const account = await register("patient");
    let token: string | null = account.token;
    const client = await stage.connected({
      transport: "sse",
      getToken({ rejected }) {
        if (rejected) token = null;
        return token;
      },
    });
    const mine = watch(client, topics.myAppointments());
    await until(mine, ({ fresh }) => fresh);
    await stage.client({ getToken: () => account.token }).request("auth.logout", {});
    await until(client.connection, ({ state, access }) => state === "connected" && access === "anonymous");
    await until(mine, ({ error }) => error?.code === "unauthenticated");
  });

  test("somebody who logs in is known", async ({ stage }) => {
    const account = await register("patient");
    let token: string | null = null;
    const client = await stage.connected({ transport: "sse", getToken: () => token });
    token = account.token;
    await client.reauthenticate();
    expect(client.connection.get()).toMatchObject({ access: "user", user: { id: account.user.id } });
  });
});

describe("streams", () => {
  /** What a test has the streams say, in the order in which they were opened; none is where one of `refused` is asked for. */
  function streams(refused: string[] = []): {
    fetch: Fetch;
    opened: {
      topics: string[];
      from: string | null;
      after: string | null;
      signal: AbortSignal | null | undefined;
      say(frames: object[]): void;
      end(): void;
    }[];
  } {
    const opened: ReturnType<typeof streams>["opened"] = [];
    const fetch: Fetch = (url, init) => {
      const { pathname, searchParams } = new URL(url);
      if (pathname === "/v1/me") return noAccount(url, init);
      const topic = searchParams.getAll("topic").find((name) => refused.includes(name));
      if (topic) {
        const problem = { code: "forbidden", status: 403, title: "", retryable: false, topic };
        return Promise.resolve(Response.json(problem, { status: 403 }));
      }
      const text = new TextEncoder();
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          opened.push({
            topics: searchParams.getAll("topic"),
            from: searchParams.get("from"),
            signal: init.signal,
            after: new Headers(init.headers).get("Last-Event-ID"),
            say: (frames) => {
              for (const { type, cursor, data } of frames as { type: string; cursor?: string; data: object }[]) {
                const id = cursor === undefined ? "" : `id: ${cursor}\n`;
                // In pieces, as a network may have it.
                for (const piece of `event: ${type}\n${id}data: ${JSON.stringify(data)}\n\n`.match(/.{1,7}/gs) ?? [])
                  controller.enqueue(text.encode(piece));
              }
            },
            end: () => controller.close(),
          });
        },
      });
      return Promise.resolve(new Response(body, { headers: { "Content-Type": "text/event-stream" } }));
    };
    return { fetch, opened };
  }

  test("what is asked for in one go shares one, and a ping moves only the topics of its own", async ({ stage }) => {
    const { fetch, opened } = streams();
    const client = stage.client({ url: "http://cita.example", fetch, transport: "sse" });
    client.connect();
    await client.ready();
    const [doctor, reviews] = [watch(client, topics.doctor("d")), watch(client, topics.reviews("d"))];
    await vi.waitFor(() => expect(opened.map((stream) => stream.topics)).toEqual([["doctors/d", "doctors/d/reviews"]]));
    opened[0]?.say([
      { type: "snapshot", data: { topic: "doctors/d", items: [{ id: "d", rev: 1, name: "Señora Muñoz" }] } },
      { type: "snapshot", data: { topic: "doctors/d/reviews", items: [] } },
      { type: "ping", cursor: "1", data: {} },
    ]);
    await until(reviews, ({ fresh }) => fresh);
    expect(doctor.get().items[0]?.name).toBe("Señora Muñoz");
    const waitlist = watch(client, topics.waitlist("d"));
    await vi.waitFor(() => expect(opened).toHaveLength(2));
    opened[1]?.say([{ type: "snapshot", cursor: "2", data: { topic: "doctors/d/waitlist", items: [] } }]);
    await until(waitlist, ({ fresh }) => fresh);
    opened[0]?.say([
      { type: "ping", cursor: "3", data: {} },
      { type: "change", data: { topic: "doctors/d/reviews", upserted: [{ id: "r", rev: 1 }], removed: [] } },
    ]);
    await until(reviews, ({ items }) => items.length === 1);
    opened[1]?.end();
    await vi.waitFor(() => expect(opened).toHaveLength(4));
    expect(opened.slice(2).map(({ topics, after }) => [after, topics])).toEqual([
      ["3", ["doctors/d", "doctors/d/reviews"]],
      ["2", ["doctors/d/waitlist"]],
    ]);
    expect([doctor.get().fresh, reviews.get().items.length]).toEqual([true, 1]);
  });

  test("a token that is about to end is replaced, and the streams are continued with the new one", async ({
    stage,
  }) => {
    const { fetch, opened } = streams();
    const seen: (string | null)[] = [];
    const asked: boolean[] = [];
    const client = stage.client({
      url: "http://cita.example",
      transport: "sse",
      fetch(url, init) {
        seen.push(new Headers(init.headers).get("Authorization"));
        return url.endsWith("/me")
          ? Promise.resolve(Response.json({ id: "u", role: "patient", name: "" }))
          : fetch(url, init);
      },
      getToken({ rejected }) {
        asked.push(rejected);
        return asked.includes(true) ? "new" : "old";
      },
    });
    client.connect();
    const mine = watch(client, topics.myAppointments());
    await vi.waitFor(() => expect(opened).toHaveLength(1));
    opened[0]?.say([
      { type: "snapshot", cursor: "1", data: { topic: "me/appointments", items: [] } },
      { type: "authExpiring", data: { expiresAt: "2026-11-24T16:15:02Z" } },
    ]);
    await vi.waitFor(() => expect(opened).toHaveLength(2));
    expect(opened[1]?.after).toBe("1");
    await until(mine, ({ fresh }) => fresh);
    expect(asked).toEqual([false, true, false]);
    expect(seen).toEqual(["Bearer old", "Bearer old", "Bearer new", "Bearer new"]);
    expect(client.connection.get()).toMatchObject({ state: "connected", user: { id: "u" } });
  });

  test("a cookie that has ended is noticed as a token is", async ({ stage }) => {
    const user = { id: "u", rev: 1, role: "patient", name: "Laura" };
    const ended = { code: "token_expired", status: 401, title: "", retryable: false };
    let isGood = false;
    const asked: boolean[] = [];
    const client = stage.client({
      url: "http://cita.example",
      transport: "sse",
      fetch: async () => (isGood ? Response.json(user) : Response.json(ended, { status: 401 })),
      // The cookie is set by a refresh, and sent by the browser.
      getToken({ rejected }) {
        asked.push(rejected);
        if (rejected) isGood = true;
        return null;
      },
    });
    client.connect();
    await client.ready();
    expect(client.connection.get()).toMatchObject({ access: "user", user: { id: "u" } });
    for (const code of ["token_expired", "unauthenticated"]) {
      ended.code = code;
      isGood = false;
      expect(await client.request("me.get", {})).toEqual(user);
    }
    expect(asked).toEqual([false, true, true, true]);
  });

  test("a window that takes the place of another is the only one of its topic, when all is opened anew", async ({
    stage,
  }) => {
    const { fetch, opened } = streams();
    const client = stage.client({ url: "http://cita.example", fetch, transport: "sse" });
    client.connect();
    await client.ready();
    const calendar = (doctor: string, month: number) =>
      topics.appointments(doctor, `2026-0${month}-01`, `2026-0${month}-07`);
    watch(client, calendar("d", 1));
    watch(client, calendar("e", 1));
    await vi.waitFor(() => expect(opened).toHaveLength(1));
    for (const id of ["d", "e", "f"]) {
      const before = opened.length;
      watch(client, topics.doctor(id));
      await vi.waitFor(() => expect(opened).toHaveLength(before + 1));
    }
    // Too far away to be one subscription with the first.
    watch(client, calendar("d", 6));
    await vi.waitFor(() => expect(opened.length).toBeGreaterThan(4));
    const open = opened.filter(({ signal }) => !signal?.aborted);
    expect(open.map(({ from, topics }) => [from, topics])).toEqual([
      ["2026-01-01", ["doctors/e/appointments"]],
      ["2026-06-01", ["doctors/d/appointments", "doctors/d", "doctors/e", "doctors/f"]],
    ]);
  });

  test("there are four at most, and the oldest window beyond is refused", async ({ stage }) => {
    const { fetch, opened } = streams();
    const client = stage.client({ url: "http://cita.example", fetch, transport: "sse" });
    client.connect();
    await client.ready();
    const mine = watch(client, topics.myAppointments());
    const windows = [];
    for (const day of ["01", "02", "03", "04", "05"]) {
      const before = opened.length;
      windows.push(watch(client, topics.slots(day, "s", `2026-12-${day}`, `2026-12-${day}`)));
      await vi.waitFor(() => expect(opened.length).toBeGreaterThan(before));
    }
    const open = opened.filter(({ signal }) => !signal?.aborted);
    expect(open.map(({ from }) => from)).toEqual(["2026-12-02", "2026-12-03", "2026-12-04", "2026-12-05"]);
    expect(windows[0]?.get()).toMatchObject({ state: "unsubscribed", error: { code: "too_many_subscriptions" } });
    expect([mine.get().error, windows[1]?.get().error]).toEqual([undefined, undefined]);
    expect(open.flatMap(({ topics }) => topics)).toContain("me/appointments");
  });

  test("one that is refused is opened without the topic that was, and no other beside it", async ({ stage }) => {
    const refused = ["doctors/b/waitlist", "doctors/d/waitlist"];
    const { fetch, opened } = streams(refused);
    const client = stage.client({ url: "http://cita.example", fetch, transport: "sse" });
    client.connect();
    await client.ready();
    const waitlists = ["a", "b", "c", "d", "e", "f"].map((doctor) => watch(client, topics.waitlist(doctor)));
    await vi.waitFor(() => expect(opened).toHaveLength(1));
    expect(opened[0]?.topics).toEqual(["a", "c", "e", "f"].map((doctor) => `doctors/${doctor}/waitlist`));
    expect(waitlists.map((waitlist) => waitlist.get().error?.code)).toEqual(
      ["a", "b", "c", "d", "e", "f"].map((doctor) =>
        refused.includes(`doctors/${doctor}/waitlist`) ? "forbidden" : undefined,
      ),
    );
  });

  test("a refusal that names no topic that was asked for is one of all of them", async ({ stage }) => {
    let asked = 0;
    const problem = { code: "forbidden", status: 403, title: "", retryable: false, topic: "doctors/e" };
    const fetch: Fetch = (url, init) => {
      if (!url.includes("/v1/events")) return noAccount(url, init);
      return asked++ > 0 ? new Promise(() => {}) : Promise.resolve(Response.json(problem, { status: 403 }));
    };
    const client = stage.client({ url: "http://cita.example", fetch, transport: "sse" });
    client.connect();
    await client.ready();
    const refused = [watch(client, topics.doctor("d")), watch(client, topics.reviews("d"))] as const;
    await until(refused[0], ({ error }) => error?.code === "forbidden");
    await until(refused[1], ({ error }) => error?.code === "forbidden");
    expect(asked).toBe(1);
  });

  test("one that is never answered is given up, as one that falls silent", async ({ stage }) => {
    vi.useFakeTimers();
    stage.onEnd(() => vi.useRealTimers());
    const fetch: Fetch = (url, init) =>
      url.includes("/v1/events")
        ? new Promise((_, reject) => init.signal?.addEventListener("abort", () => reject(new Error("aborted"))))
        : noAccount(url, init);
    const client = stage.client({ url: "http://cita.example", fetch, transport: "sse" });
    client.connect();
    await client.ready();
    watch(client, topics.doctor("d"));
    await vi.advanceTimersByTimeAsync(42_999);
    expect(client.connection.get().state).toBe("connected");
    await vi.advanceTimersByTimeAsync(1);
    expect(client.connection.get()).toMatchObject({ state: "connecting", reason: "the event stream has ended" });
  });

  test("a stream that tells of a topic that was left is not listened to", async ({ stage }) => {
    vi.useFakeTimers();
    stage.onEnd(() => vi.useRealTimers());
    const { fetch, opened } = streams();
    const client = stage.client({ url: "http://cita.example", fetch, transport: "sse" });
    client.connect();
    await client.ready();
    const doctor = watch(client, topics.doctor("d"));
    const reviews = client.topic(topics.reviews("d"));
    const leave = reviews.subscribe(() => {});
    await vi.waitFor(() => expect(opened).toHaveLength(1));
    const told = (rev: number) => ({
      type: "change",
      data: { topic: "doctors/d/reviews", upserted: [{ id: "r", rev }], removed: [] },
    });
    const name = (rev: number) => ({
      type: "change",
      data: { topic: "doctors/d", upserted: [{ id: "d", rev }], removed: [] },
    });
    opened[0]?.say([
      { type: "snapshot", data: { topic: "doctors/d", items: [] } },
      { type: "snapshot", data: { topic: "doctors/d/reviews", items: [] } },
      told(1),
      name(1),
    ]);
    await vi.waitFor(() => expect(doctor.get().items[0]?.rev).toBe(1));
    expect(reviews.get().items[0]?.rev).toBe(1);
    leave();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(reviews.get()).toEqual({ state: "unsubscribed", items: [], fresh: false });
    reviews.subscribe(() => {});
    await vi.waitFor(() => expect(opened).toHaveLength(2));
    opened[1]?.say([
      { type: "snapshot", cursor: "2", data: { topic: "doctors/d/reviews", items: [{ id: "r", rev: 3 }] } },
    ]);
    await vi.waitFor(() => expect(reviews.get().items[0]?.rev).toBe(3));
    opened[0]?.say([told(2), name(2)]);
    await vi.waitFor(() => expect(doctor.get().items[0]?.rev).toBe(2));
    expect(reviews.get().items[0]?.rev).toBe(3);
  });
});

describe("the way back", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test("a minute later a WebSocket is tried, and used when it passes", async ({ stage }) => {
    const server = new FakeServer();
    server.isThere = false;
    const client = stage.client({ url: "http://cita.example", WebSocket: server.Socket, fetch: noAccount });
    client.connect();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(client.connection.get()).toMatchObject({ state: "connected", transport: "sse" });
    expect(server.connections).toHaveLength(3);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server.connections).toHaveLength(4);
    expect(client.connection.get()).toMatchObject({ state: "connected", transport: "sse" });
    server.isThere = true;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(client.connection.get()).toMatchObject({ state: "connected", transport: "websocket" });
  });

  test("a WebSocket that hangs or cannot be made is tried again", async ({ stage }) => {
    const server = new FakeServer();
    server.isThere = false;
    let isBroken = true;
    const Socket = function (url: string, protocols: string[]) {
      if (client.connection.get().transport === "sse" && isBroken) throw new Error("no sockets today");
      return new server.Socket(url, protocols);
    } as unknown as typeof server.Socket;
    const client = stage.client({ url: "http://cita.example", WebSocket: Socket, fetch: noAccount });
    client.connect();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(client.connection.get()).toMatchObject({ state: "connected", transport: "sse" });
    await vi.advanceTimersByTimeAsync(60_000);
    isBroken = false;
    // The next one is opened and never greeted.
    server.isThere = true;
    server.says = () => {};
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server.connections).toHaveLength(4);
    server.says = FakeServer.prototype.says;
    await vi.advanceTimersByTimeAsync(70_000);
    expect(client.connection.get()).toMatchObject({ state: "connected", transport: "websocket" });
  });

  test("where nothing answers at all, both are tried in turn", async ({ stage }) => {
    const server = new FakeServer();
    server.isThere = false;
    let requests = 0;
    const client = stage.client({
      url: "http://cita.example",
      WebSocket: server.Socket,
      fetch: async () => {
        requests++;
        throw new TypeError("fetch failed");
      },
    });
    client.connect();
    await vi.advanceTimersByTimeAsync(300_000);
    expect(requests).toBeGreaterThan(1);
    expect(server.connections.length).toBeGreaterThan(6);
    server.isThere = true;
    // The next attempt is at most twenty seconds away, and the one after it goes the other way.
    for (let waited = 0; waited < 41_000 && client.connection.get().state !== "connected"; waited += 500)
      await vi.advanceTimersByTimeAsync(500);
    expect(client.connection.get()).toMatchObject({ state: "connected", transport: "websocket" });
  });

  test("a server that has been reached by WebSocket is away for longer before the other way is tried", async ({
    stage,
  }) => {
    const server = new FakeServer();
    let requests = 0;
    const fetch: Fetch = (url, init) => {
      requests++;
      return noAccount(url, init);
    };
    const client = stage.client({ url: "http://cita.example", WebSocket: server.Socket, fetch });
    client.connect();
    await vi.advanceTimersByTimeAsync(0);
    server.isThere = false;
    server.closes(1006);
    while (requests === 0) await vi.advanceTimersByTimeAsync(500);
    expect(server.connections).toHaveLength(1 + 8);
  });

  test("websocket alone means that no other way is tried", async ({ stage }) => {
    const server = new FakeServer();
    server.isThere = false;
    const fetch = vi.fn(noAccount);
    const client = stage.client({
      url: "http://cita.example",
      WebSocket: server.Socket,
      fetch,
      transport: "websocket",
    });
    client.connect();
    await vi.advanceTimersByTimeAsync(300_000);
    expect(fetch).not.toHaveBeenCalled();
    expect(client.connection.get().state).toBe("connecting");
  });

  test("where there is no WebSocket at all the other way is taken at once", async ({ stage }) => {
    vi.stubGlobal("WebSocket", undefined);
    const client = stage.client({ url: "http://cita.example", fetch: noAccount, WebSocket: undefined as never });
    client.connect();
    await vi.advanceTimersByTimeAsync(0);
    expect(client.connection.get()).toMatchObject({ state: "connected", transport: "sse" });
    vi.unstubAllGlobals();
  });
});
