// Live topics as stores: what they show, who shares them, and how long they live.

import { afterEach, beforeEach, describe, expect, vi } from "vitest";
import { createHooks } from "../src/react.js";
import { topics, type Client, type Item } from "../src/index.js";
import { inDays, register, startAt, test, until, watch } from "./cast.js";
import { FakeServer } from "./fake.js";
import { appointment, at10, at11, at9, change, fake, keys, mine, snapshot } from "./items.js";

describe("a topic", () => {
  test("is shared by all who ask for it, and lives while somebody listens", async ({ stage }) => {
    const { server, client } = await fake(stage);
    const live = client.topic(topics.myAppointments());
    expect(client.topic(topics.myAppointments())).toBe(live);
    expect(live.get()).toEqual({ state: "unsubscribed", items: [], fresh: false });
    const states: string[] = [];
    const leave = live.subscribe(({ state, fresh, items }) => states.push(`${state} ${fresh} ${items.length}`));
    live.subscribe(() => {});
    await server.subscribes(mine);
    server.says(snapshot(mine, [appointment("a", at9)], "1"));
    expect(states).toEqual(["subscribing false 0", "subscribed false 0", "subscribed true 1"]);
    expect(server.received).toEqual([]);
    leave();
    leave();
    server.says(change(mine, [appointment("b", at10)], [], "2"));
    expect(states).toHaveLength(3);
    expect(live.get().items).toHaveLength(2);
  });

  test("is sorted by start, tells what changed, and keeps what did not", async ({ stage }) => {
    const { server, client } = await fake(stage);
    const live = watch(client, topics.myAppointments());
    await server.subscribes(mine);
    server.says(snapshot(mine, [appointment("b", at10), appointment("a", at9)], "1"));
    const first = live.get();
    expect([keys(first.items), first.changed]).toEqual([["a", "b"], undefined]);
    server.says(change(mine, [appointment("b", at11, { rev: 2 }), appointment("c", at10)], ["x"], "2"));
    const second = live.get();
    expect(keys(second.items)).toEqual(["a", "c", "b"]);
    expect(second.changed).toEqual({ upserted: ["b", "c"], removed: [] });
    expect(second.items).not.toBe(first.items);
    expect(second.items[0]).toBe(first.items[0]);
    server.says(change(mine, [], ["a"], "3"));
    expect([keys(live.get().items), live.get().changed]).toEqual([["c", "b"], { upserted: [], removed: ["a"] }]);
    // A name that is removed and told anew in one change is there.
    server.says(change(mine, [appointment("c", at10, { rev: 2 })], ["c"], "4"));
    expect(keys(live.get().items)).toEqual(["c", "b"]);
  });

  test("takes the parts of a snapshot when the last has come", async ({ stage }) => {
    const { server, client } = await fake(stage);
    const live = watch(client, topics.myAppointments());
    await server.subscribes(mine);
    server.says(snapshot(mine, [appointment("a", at9)], "", true));
    expect(live.get()).toMatchObject({ items: [], fresh: false });
    server.says(snapshot(mine, [appointment("b", at10)], "1"));
    expect([keys(live.get().items), live.get().fresh]).toEqual([["a", "b"], true]);
  });

  test("shows the old items after a reset, marked as such, until the snapshot", async ({ stage }) => {
    const { server, client } = await fake(stage);
    const live = watch(client, topics.myAppointments());
    await server.subscribes(mine);
    server.says(snapshot(mine, [appointment("a", at9), appointment("b", at10)], "1"));
    const [kept] = live.get().items;
    server.says({ type: "reset", data: { topic: mine } });
    expect([keys(live.get().items), live.get().fresh]).toEqual([["a", "b"], false]);
    server.says(snapshot(mine, [appointment("a", at9)], "2"));
    expect([keys(live.get().items), live.get().fresh, live.get().changed]).toEqual([["a"], true, undefined]);
    expect(live.get().items[0]).toBe(kept);
  });

  test("that is refused says why, and is asked for again on the next connection", async ({ stage }) => {
    const { server, client } = await fake(stage);
    const live = watch(client, topics.appointments("d", "2026-12-01", "2026-12-07"));
    const { id } = await server.receives("subscribe");
    server.says({
      type: "error",
      id,
      data: { code: "forbidden", status: 403, title: "You may not do this.", retryable: false },
    });
    expect(live.get()).toMatchObject({ state: "unsubscribed", fresh: false, items: [], error: { code: "forbidden" } });
    server.closes(4000);
    await server.subscribes("doctors/d/appointments");
    expect(live.get()).toMatchObject({ state: "subscribed" });
    expect(live.get().error).toBeUndefined();
  });

  test("that cannot be had now is asked for again on this one", async ({ stage }) => {
    const { server, client } = await fake(stage);
    const live = watch(client, topics.myAppointments());
    const { id } = await server.receives("subscribe");
    server.says({ type: "error", id, data: { code: "unavailable", status: 503, title: "", retryable: true } });
    expect(live.get()).toMatchObject({ state: "unsubscribed", error: { code: "unavailable" } });
    await server.subscribes(mine);
    server.says(snapshot(mine, [], "1"));
    expect(live.get()).toEqual({ state: "subscribed", fresh: true, items: [] });
    expect(server.connections).toHaveLength(1);
  });

  test("that the server ends shows nothing any more", async ({ stage }) => {
    const { server, client } = await fake(stage);
    const live = watch(client, topics.doctor("d"));
    await server.subscribes("doctors/d");
    server.says(snapshot("doctors/d", [{ id: "d", rev: 1 } as Item], "1"));
    server.says({
      type: "error",
      data: { code: "not_found", status: 404, title: "", retryable: false, topic: "doctors/d" },
    });
    expect(live.get()).toMatchObject({ state: "unsubscribed", fresh: false, items: [], error: { code: "not_found" } });
  });

  test("whose listener throws goes on for the others", async ({ stage }) => {
    const { server, client } = await fake(stage);
    const surfaced: unknown[] = [];
    const onError = (error: unknown): void => void surfaced.push(error);
    const handlers = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException").on("uncaughtException", onError);
    stage.onEnd(() => {
      process.removeListener("uncaughtException", onError);
      for (const handler of handlers) process.on("uncaughtException", handler);
    });
    const live = client.topic(topics.myAppointments());
    const broken = new Error("a page is broken");
    live.subscribe(({ fresh }) => {
      if (fresh) throw broken;
    });
    live.subscribe(() => {});
    await server.subscribes(mine);
    server.says(snapshot(mine, [], "1"));
    expect(live.get().fresh).toBe(true);
    await vi.waitFor(() => expect(surfaced).toEqual([broken]));
  });
});

describe("when nobody listens any more", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test("the subscription lives on for five seconds", async ({ stage }) => {
    const { server, client } = await fake(stage);
    const live = client.topic(topics.myAppointments());
    const leave = live.subscribe(() => {});
    await server.subscribes(mine);
    server.says(snapshot(mine, [appointment("a", at9)], "1"));
    leave();
    await vi.advanceTimersByTimeAsync(4_999);
    const again = live.subscribe(() => {});
    await vi.advanceTimersByTimeAsync(30_000);
    expect(server.received).toEqual([]);
    expect(live.get()).toMatchObject({ state: "subscribed", fresh: true });
    again();
    await vi.advanceTimersByTimeAsync(5_000);
    const { id, data } = await server.receives("unsubscribe");
    expect(data).toEqual({ topic: mine });
    // Somebody comes back before that is answered: what is asked for next waits for it.
    live.subscribe(() => {});
    expect(server.received).toEqual([]);
    server.says({ type: "reply", id, data });
    expect((await server.subscribes(mine)).data["after"]).toBe("1");
  });

  test("a log-in meanwhile does not end it", async ({ stage }) => {
    const server = new FakeServer();
    let token: string | null = null;
    const client = stage.client({ url: "http://cita.example", WebSocket: server.Socket, getToken: () => token });
    client.connect();
    await client.ready();
    client.topic(topics.doctor("d")).subscribe(() => {})();
    await server.subscribes("doctors/d");
    token = "a.b.c";
    const known = client.reauthenticate();
    const { id } = await server.receives("auth.renew");
    server.says({
      type: "reply",
      id,
      data: { access: "user", user: { id: "u", role: "patient", name: "" }, expiresAt: at9 },
    });
    await known;
    expect(server.received).toEqual([]);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(server.received.map(({ type }) => type)).toEqual(["unsubscribe"]);
  });

  test("one that has ended leaves the next of its name alone", async ({ stage }) => {
    const { server, client } = await fake(stage);
    const calendar = "doctors/d/appointments";
    const window = topics.appointments("d", "2026-12-01", "2026-12-07");
    const [one, two] = [window, topics.appointments("d", "2026-12-02", "2026-12-06")].map((topic) =>
      client.topic(topic).subscribe(() => {}),
    );
    await server.subscribes(calendar);
    one?.();
    await vi.advanceTimersByTimeAsync(3_000);
    two?.();
    await vi.advanceTimersByTimeAsync(2_000);
    // The first window's five seconds are not those of the second.
    expect(server.received).toEqual([]);
    await vi.advanceTimersByTimeAsync(3_000);
    const { id, data } = await server.receives("unsubscribe");
    server.says({ type: "reply", id, data });
    const next = watch(client, window);
    await server.subscribes(calendar);
    server.says(snapshot(calendar, [appointment("a", at9)], "1"));
    server.says(change(calendar, [appointment("b", at10)], [], "2"));
    expect([keys(next.get().items), next.get().fresh]).toEqual([["a", "b"], true]);
    expect(server.received).toEqual([]);
  });

  test("a window is forgotten, though another one of its topic is looked at", async ({ stage }) => {
    const { server, client } = await fake(stage);
    const calendar = "doctors/d/appointments";
    const [day, week] = [
      topics.appointments("d", "2026-12-01", "2026-12-01"),
      topics.appointments("d", "2026-12-01", "2026-12-07"),
    ];
    watch(client, week);
    await server.subscribes(calendar);
    const left = client.topic(day);
    const leave = left.subscribe(() => {});
    server.says(snapshot(calendar, [appointment("a", at9)], "1"));
    leave();
    await vi.advanceTimersByTimeAsync(4_999);
    expect([client.topic(day), left.get().items.length]).toEqual([left, 1]);
    await vi.advanceTimersByTimeAsync(1);
    expect(client.topic(day)).not.toBe(left);
    expect(left.get()).toEqual({ state: "unsubscribed", items: [], fresh: false });
    left.subscribe(() => {});
    expect(left.get()).toMatchObject({ state: "subscribed", items: [{ id: "a" }], fresh: true });
    expect(server.received).toEqual([]);
  });

  test("what was shown is forgotten with the subscription", async ({ stage }) => {
    const { server, client } = await fake(stage);
    const live = client.topic(topics.myAppointments());
    const leave = live.subscribe(() => {});
    await server.subscribes(mine);
    server.says(snapshot(mine, [appointment("a", at9)], "1"));
    leave();
    await vi.advanceTimersByTimeAsync(5_000);
    const { id } = await server.receives("unsubscribe");
    server.says({ type: "reply", id, data: { topic: mine } });
    expect(live.get()).toEqual({ state: "unsubscribed", items: [], fresh: false });
    live.subscribe(() => {});
    expect((await server.subscribes(mine)).data).toEqual({ topic: mine });
    server.says(snapshot(mine, [appointment("b", at9)], "2"));
    expect(keys(live.get().items)).toEqual(["b"]);
  });
});

describe.concurrent("with the server", () => {
  test("every topic can be watched by whom it is for", async ({ stage }) => {
    const [{ client, doctorId, service }, patient] = await Promise.all([stage.practice(), register("patient")]);
    const own = await stage.connected({ as: patient });
    const window = [inDays(0), inDays(30)] as const;
    await own.request("appointment.book", { doctorId, serviceId: service.id, start: startAt(2, 0) });
    await own.request("waitlist.join", {
      doctorId,
      serviceId: service.id,
      from: inDays(2),
      to: inDays(3),
      times: { from: "07:00", to: "08:00" },
    });
    const full = <T extends Item>(
      of: Client,
      topic: { name: string; from: string; to: string; item?: T },
      count: number,
    ) => until(watch(of, topic), ({ fresh, items }) => fresh && items.length === count, topic.name);
    await full(client, topics.appointments(doctorId, ...window), 1);
    await full(client, topics.waitlist(doctorId), 1);
    await full(client, topics.doctor(doctorId), 1);
    await full(client, topics.reviews(doctorId), 0);
    await full(client, topics.mySessions(), 1);
    await full(own, topics.myAppointments(), 1);
    await full(own, topics.myWaitlist(), 1);
    const slots = await full(await stage.connected(), topics.slots(doctorId, service.id, inDays(2), inDays(2)), 7);
    expect(slots.timeZone).toBe("America/Bogota");
    const refused = watch(own, topics.appointments(doctorId, ...window));
    await until(refused, ({ error, state }) => error?.code === "forbidden" && state === "unsubscribed");
  });

  test("a booking of one page is seen by another", async ({ stage }) => {
    const [{ client, doctorId, service }, patient] = await Promise.all([stage.practice(), register("patient")]);
    const [own, anybody] = await Promise.all([stage.connected({ as: patient }), stage.connected()]);
    const calendar = watch(client, topics.appointments(doctorId, inDays(1), inDays(9)));
    const slots = watch(anybody, topics.slots(doctorId, service.id, inDays(2), inDays(3)));
    await until(calendar, ({ fresh }) => fresh);
    await until(slots, ({ fresh }) => fresh);
    const start = startAt(2, 0);
    const { id } = await own.request("appointment.book", { doctorId, serviceId: service.id, start });
    const { changed } = await until(calendar, ({ items }) => items.length === 1);
    expect(changed).toEqual({ upserted: [id], removed: [] });
    expect((await until(slots, ({ items }) => !keys(items).includes(start))).changed).toEqual({
      upserted: [],
      removed: [start],
    });
    await own.request("appointment.cancel", { id });
    await until(slots, ({ items }) => keys(items).includes(start));
    expect((await until(calendar, ({ items }) => items[0]?.status === "cancelled")).changed).toEqual({
      upserted: [id],
      removed: [],
    });
  });

  test.for(["websocket", "sse"] as const)(
    "a window that is moved shows what is in it, whatever was shown before (%s)",
    async (transport, { stage }) => {
      const { account, doctorId, service } = await stage.practice();
      const client = await stage.connected({ as: account, transport });
      // A topic that shares the stream of the first window, where there are streams.
      watch(client, topics.mySessions());
      const book = (day: number) =>
        client.request("appointment.book", {
          doctorId,
          serviceId: service.id,
          start: startAt(day, 0),
          walkIn: { name: "Alguien" },
        });
      const [near, far] = [await book(3), await book(13)];
      const weeks = [
        topics.appointments(doctorId, inDays(1), inDays(7)),
        topics.appointments(doctorId, inDays(8), inDays(14)),
        topics.appointments(doctorId, inDays(15), inDays(21)),
      ] as const;
      const expected = [[near.id], [far.id], []];
      for (const index of [0, 1, 2, 1, 0]) {
        const live = client.topic(weeks[index as 0]);
        const leave = live.subscribe(() => {});
        await until(live, ({ fresh, items }) => fresh && keys(items).join() === expected[index]?.join());
        leave();
      }
      const { id } = await client.request("appointment.reschedule", { id: near.id, start: startAt(13, 1) });
      await until(watch(client, weeks[0]), ({ fresh, items }) => fresh && items.length === 0);
      await until(watch(client, weeks[1]), ({ fresh, items }) => fresh && keys(items).includes(id));
      for (const days of [2, 5, 3]) {
        const live = client.topic(topics.slots(doctorId, service.id, inDays(days), inDays(days + 1)));
        const leave = live.subscribe(() => {});
        await until(live, ({ fresh, items }) => fresh && items.length === 16);
        leave();
      }
    },
  );
});

test("the hooks for React watch a topic while it is shown", async ({ stage }) => {
  const { server, client } = await fake(stage);
  const renders: unknown[] = [];
  let leave: (() => void) | undefined;
  const { useTopic, useReadable } = createHooks({
    useSyncExternalStore(subscribe, get, getOnServer) {
      leave ??= subscribe(() => renders.push(get()));
      expect(getOnServer?.()).toEqual(get());
      return get();
    },
  });
  expect(useTopic(client, topics.myAppointments())).toMatchObject({ items: [], overlay: expect.any(Function) });
  await server.subscribes(mine);
  server.says(snapshot(mine, [appointment("a", at9)], "1"));
  expect(renders.at(-1)).toMatchObject({ fresh: true, items: [{ id: "a" }] });
  expect(useReadable(client.connection).state).toBe("connected");
  leave?.();
});
