// Live topics as stores: what they show, from where they are continued, and what lies over them.

import { afterEach, beforeEach, describe, expect, vi } from "vitest";
import { createHooks } from "../src/react.js";
import { topics, type Appointment, type Client, type Item, type LiveSlot } from "../src/index.js";
import { inDays, register, startAt, test, until, watch, type Stage } from "./cast.js";
import { FakeServer } from "./fake.js";

const slot = (start: string, more: Partial<LiveSlot> = {}): LiveSlot => ({
  start,
  end: start,
  status: "free",
  bookableFrom: start,
  bookableUntil: start,
  ...more,
});
const appointment = (id: string, start: string, more: Partial<Appointment> = {}): Appointment => ({
  id,
  rev: 1,
  status: "booked",
  doctorId: "d",
  doctorName: "",
  patientId: "p",
  patientName: "",
  serviceId: "s",
  serviceName: "",
  start,
  end: new Date(Date.parse(start) + 1_800_000).toISOString().replace(".000", ""),
  timeZone: "America/Bogota",
  createdAt: start,
  updatedAt: start,
  ...more,
});
const keys = (items: readonly Item[]): string[] => items.map((item) => ("id" in item ? item.id : item.start));

async function fake(stage: Stage): Promise<{ server: FakeServer; client: Client }> {
  const server = new FakeServer();
  const client = stage.client({ url: "http://cita.example", WebSocket: server.Socket, transport: "websocket" });
  client.connect();
  await client.ready();
  return { server, client };
}

const snapshot = (topic: string, items: Item[], cursor: string, more?: true) => ({
  type: "snapshot",
  ...(more ? {} : { cursor }),
  data: { topic, items, ...(more && { more }) },
});
const change = (topic: string, upserted: Item[], removed: string[], cursor: string) => ({
  type: "change",
  cursor,
  data: { topic, upserted, removed },
});
const mine = "me/appointments";
const [at9, at10, at11] = ["2026-12-01T14:00:00Z", "2026-12-01T15:00:00Z", "2026-12-01T16:00:00Z"] as const;

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

describe("after a lost connection", () => {
  const after = async (server: FakeServer): Promise<unknown> => {
    server.closes(1006);
    return (await server.subscribes("", true)).data["after"];
  };

  test("a topic is continued from its last snapshot, change or ping", async ({ stage }) => {
    const { server, client } = await fake(stage);
    const live = watch(client, topics.myAppointments());
    expect((await server.subscribes(mine)).data).toEqual({ topic: mine });
    server.says(snapshot(mine, [appointment("a", at9)], "1"));
    expect(await after(server)).toBe("1");
    server.says(change(mine, [appointment("b", at10)], [], "2"));
    expect(await after(server)).toBe("2");
    server.says({ type: "ping", cursor: "3", data: {} });
    expect(await after(server)).toBe("3");
    expect(live.get()).toMatchObject({ fresh: true, state: "subscribed" });
    expect(keys(live.get().items)).toEqual(["a", "b"]);
  });

  test("the cursor of an answer to a mutation is none of a topic", async ({ stage }) => {
    const { server, client } = await fake(stage);
    watch(client, topics.myAppointments());
    await server.subscribes(mine);
    server.says(snapshot(mine, [], "1"));
    const answer = client.request("hold.release", { id: "0" });
    const { id } = await server.receives("hold.release");
    server.says({ type: "reply", id, cursor: "9", data: {} });
    await answer;
    expect(client.lastCursor).toBe("9");
    expect(await after(server)).toBe("1");
  });

  test("a topic whose snapshot was not whole begins anew, whatever a ping said", async ({ stage }) => {
    const { server, client } = await fake(stage);
    const live = watch(client, topics.myAppointments());
    await server.subscribes(mine);
    server.says(snapshot(mine, [appointment("a", at9)], "", true));
    server.says({ type: "ping", cursor: "3", data: {} });
    expect(await after(server)).toBeUndefined();
    // The part of the first connection is worth nothing.
    server.says(snapshot(mine, [appointment("b", at10)], "4"));
    expect(keys(live.get().items)).toEqual(["b"]);
  });

  test("a ping before the subscription is answered says nothing of it", async ({ stage }) => {
    const { server, client } = await fake(stage);
    watch(client, topics.myAppointments());
    await server.subscribes(mine);
    server.says(snapshot(mine, [], "1"));
    server.closes(1006);
    await server.receives("subscribe");
    server.says({ type: "ping", cursor: "2", data: {} });
    expect(await after(server)).toBe("1");
  });

  test("a topic that was reset and not told anew begins anew", async ({ stage }) => {
    const { server, client } = await fake(stage);
    watch(client, topics.myAppointments());
    await server.subscribes(mine);
    server.says(snapshot(mine, [], "1"));
    server.says({ type: "reset", data: { topic: mine } });
    server.says({ type: "ping", cursor: "2", data: {} });
    expect(await after(server)).toBeUndefined();
  });

  test("a topic that the server cannot continue is not fresh before its snapshot", async ({ stage }) => {
    const { server, client } = await fake(stage);
    const live = watch(client, topics.myAppointments());
    await server.subscribes(mine);
    server.says(snapshot(mine, [appointment("a", at9)], "1"));
    server.closes(1006);
    expect(live.get()).toMatchObject({ state: "subscribing", fresh: false });
    await server.subscribes(mine, false);
    expect([keys(live.get().items), live.get().fresh]).toEqual([["a"], false]);
    server.says({ type: "reset", data: { topic: mine } });
    server.says(snapshot(mine, [], "2"));
    expect(live.get()).toMatchObject({ items: [], fresh: true });
  });

  const range = topics.slots("d", "s", "2026-12-01", "2026-12-02");
  const [day1, day2] = [`${range.name}/2026-12-01`, `${range.name}/2026-12-02`] as const;

  test("a range is continued from the last of its snapshots or a ping, never from a change", async ({ stage }) => {
    const { server, client } = await fake(stage);
    const live = watch(client, range);
    expect((await server.subscribes(range.name)).data).toEqual({ topic: range.name, from: range.from, to: range.to });
    server.says(snapshot(day1, [slot(at9)], "1"));
    expect(live.get()).toMatchObject({ fresh: false });
    server.says(snapshot(day2, [], "1"));
    expect(live.get()).toMatchObject({ fresh: true });
    server.says(change(day2, [slot("2026-12-02T14:00:00Z")], [], "2"));
    expect(keys(live.get().items)).toEqual([at9, "2026-12-02T14:00:00Z"]);
    expect(await after(server)).toBe("1");
    server.says({ type: "ping", cursor: "3", data: {} });
    server.says(change(day1, [], [at9], "4"));
    expect(await after(server)).toBe("3");
  });

  test("a range of which one date is missing begins anew", async ({ stage }) => {
    const { server, client } = await fake(stage);
    watch(client, range);
    await server.subscribes(range.name);
    server.says(snapshot(day1, [slot(at9)], "1"));
    server.says({ type: "ping", cursor: "2", data: {} });
    expect(await after(server)).toBeUndefined();
  });

  test("a range that is reset date by date is not whole before the last of them", async ({ stage }) => {
    const { server, client } = await fake(stage);
    const live = watch(client, range);
    await server.subscribes(range.name);
    server.says(snapshot(day1, [slot(at9)], "1"));
    server.says(snapshot(day2, [], "1"));
    server.says({ type: "reset", data: { topic: day1 } });
    server.says(snapshot(day1, [], "2"));
    expect(live.get().fresh).toBe(false);
    server.says({ type: "reset", data: { topic: day2 } });
    server.says(snapshot(day2, [], "2"));
    expect(live.get().fresh).toBe(true);
    // A single date that is reset: a ping says that the others have come as far.
    server.says({ type: "reset", data: { topic: day1 } });
    server.says(snapshot(day1, [], "3"));
    expect(live.get().fresh).toBe(false);
    server.says({ type: "ping", cursor: "4", data: {} });
    expect(live.get().fresh).toBe(true);
    expect(await after(server)).toBe("4");
  });
});

describe("windows of one topic", () => {
  const calendar = "doctors/d/appointments";
  const first = topics.appointments("d", "2026-12-01", "2026-12-07");
  const second = topics.appointments("d", "2026-12-08", "2026-12-14");
  const [early, late] = [appointment("a", "2026-12-02T14:00:00Z"), appointment("b", "2026-12-09T14:00:00Z")];

  test("share a subscription to all of their dates, and each shows its own", async ({ stage }) => {
    const { server, client } = await fake(stage);
    const one = watch(client, first);
    expect((await server.subscribes(calendar)).data).toMatchObject({ from: "2026-12-01", to: "2026-12-07" });
    server.says(snapshot(calendar, [early], "1"));
    const two = watch(client, second);
    expect((await server.subscribes(calendar)).data).toEqual({ topic: calendar, from: "2026-12-01", to: "2026-12-14" });
    expect(one.get()).toMatchObject({ fresh: false, items: [early] });
    server.says(snapshot(calendar, [early, late], "2"));
    expect([keys(one.get().items), keys(two.get().items)]).toEqual([["a"], ["b"]]);
    const before = one.get();
    server.says(change(calendar, [{ ...late, rev: 2 }], [], "3"));
    expect(one.get()).toBe(before);
    server.says(
      change(calendar, [{ ...late, rev: 3, start: "2026-12-03T14:00:00Z", end: "2026-12-03T14:30:00Z" }], [], "4"),
    );
    expect([keys(one.get().items), keys(two.get().items)]).toEqual([["a", "b"], []]);
    expect(two.get().changed).toEqual({ upserted: [], removed: ["b"] });
  });

  test("an appointment that reaches over midnight is in the windows of both days, one that ends with the day is not", async ({
    stage,
  }) => {
    const { server, client } = await fake(stage);
    const [one, two] = [watch(client, first), watch(client, second)];
    const { id } = await server.receives("subscribe");
    // The order of requests that are under way together is not promised: the second window waits for the first.
    expect(server.received).toEqual([]);
    server.says({ type: "reply", id, data: { topic: calendar, resumed: false } });
    await server.subscribes(calendar);
    // In Bogotá it is five hours earlier.
    const over = appointment("over", "2026-12-08T04:45:00Z");
    const until = appointment("until", "2026-12-08T04:30:00Z");
    server.says(snapshot(calendar, [over, until], "1"));
    expect([keys(one.get().items), keys(two.get().items)]).toEqual([["until", "over"], ["over"]]);
  });

  test("too many dates together leave the older window out, and say so", async ({ stage }) => {
    const { server, client } = await fake(stage);
    const one = client.topic(first);
    const leave = one.subscribe(() => {});
    await server.subscribes(calendar);
    server.says(snapshot(calendar, [early], "1"));
    const far = watch(client, topics.appointments("d", "2027-06-01", "2027-06-07"));
    expect((await server.subscribes(calendar)).data).toMatchObject({ from: "2027-06-01", to: "2027-06-07" });
    server.says(snapshot(calendar, [], "2"));
    expect(far.get()).toMatchObject({ state: "subscribed", fresh: true });
    expect(one.get()).toMatchObject({ state: "unsubscribed", fresh: false, error: { code: "validation_failed" } });
    leave();
  });

  test("slots of other dates are given up before new ones are asked for", async ({ stage }) => {
    const { server, client } = await fake(stage);
    const leave = client.topic(topics.slots("d", "s", "2026-12-01", "2026-12-01")).subscribe(() => {});
    const name = "doctors/d/slots/s";
    await server.subscribes(name);
    server.says(snapshot(`${name}/2026-12-01`, [slot(at9)], "1"));
    leave();
    const next = watch(client, topics.slots("d", "s", "2026-12-05", "2026-12-05"));
    const { id } = await server.receives("unsubscribe");
    expect(server.received).toEqual([]);
    server.says({ type: "reply", id, data: { topic: name } });
    expect((await server.subscribes(name)).data).toEqual({ topic: name, from: "2026-12-05", to: "2026-12-05" });
    server.says(snapshot(`${name}/2026-12-05`, [slot("2026-12-05T14:00:00Z")], "2"));
    expect(next.get()).toMatchObject({ fresh: true, items: [{ start: "2026-12-05T14:00:00Z" }] });
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

describe("an overlay", () => {
  interface Settled {
    outcome: Promise<unknown>;
    resolve(value: unknown): void;
    reject(error: Error): void;
  }
  const promise = (): Settled => {
    const made: Partial<Settled> = {};
    made.outcome = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
    return made as Settled;
  };
  const begin = async (stage: Stage, items: Appointment[]) => {
    const { server, client } = await fake(stage);
    const live = watch(client, topics.myAppointments());
    await server.subscribes(mine);
    server.says(snapshot(mine, items, "1"));
    const seen: string[][] = [];
    live.subscribe((state) => seen.push(state.items.map(({ id, start }) => `${id} ${start.slice(11, 13)}`)));
    return { server, live, seen };
  };

  test("is shown at once and taken back when the request fails", async ({ stage }) => {
    const { live, seen } = await begin(stage, [appointment("a", at9), appointment("b", at10)]);
    const { outcome, reject } = promise();
    live.overlay({ upserted: [appointment("a", at11)], removed: ["b"] }, outcome);
    expect(seen.at(-1)).toEqual(["a 16"]);
    reject(new Error("slot_taken"));
    await vi.waitFor(() => expect(seen.at(-1)).toEqual(["a 14", "b 15"]));
    expect(seen).toHaveLength(3);
  });

  test("stays after the answer until the topic tells the same, without a flicker", async ({ stage }) => {
    const { server, live, seen } = await begin(stage, [appointment("a", at9)]);
    const { outcome, resolve } = promise();
    const moved = appointment("a", at11, { rev: 2 });
    live.overlay({ upserted: [moved] }, outcome);
    resolve(moved);
    await outcome;
    server.says(change(mine, [appointment("other", at10)], [], "2"));
    server.says(change(mine, [moved], [], "3"));
    server.says(change(mine, [appointment("a", at10, { rev: 3 })], [], "4"));
    expect(seen).toEqual(
      [["a 14"], ["a 16"], ["other 15", "a 16"], ["other 15", "a 16"], ["a 15", "other 15"]].map((line) =>
        expect.arrayContaining(line),
      ),
    );
    expect(seen.slice(1, 4).every((line) => line.includes("a 16"))).toBe(true);
  });

  test("gives way to what the topic tells before the answer", async ({ stage }) => {
    const { server, live, seen } = await begin(stage, [appointment("a", at9)]);
    const { outcome, reject } = promise();
    live.overlay({ upserted: [appointment("a", at11)] }, outcome);
    server.says(change(mine, [appointment("a", at10, { rev: 2 })], [], "2"));
    expect(seen.at(-1)).toEqual(["a 15"]);
    reject(new Error("stale_rev"));
    await outcome.catch(() => {});
    expect(seen.at(-1)).toEqual(["a 15"]);
  });

  test("of something new takes the name of the answer, and is not shown twice", async ({ stage }) => {
    const { server, live, seen } = await begin(stage, []);
    const { outcome, resolve } = promise();
    live.overlay({ upserted: [appointment("a name of the page", at9)] }, outcome);
    resolve(appointment("a", at9));
    await vi.waitFor(() => expect(seen.at(-1)).toEqual(["a 14"]));
    server.says(change(mine, [appointment("a", at9)], [], "2"));
    expect(seen).toEqual([[], ["a name of the page 14"], ["a 14"], ["a 14"]]);
    expect(live.get().items).toHaveLength(1);
  });

  test("lies over another one", async ({ stage }) => {
    const { live, seen } = await begin(stage, [appointment("a", at9)]);
    const [one, two] = [promise(), promise()];
    live.overlay({ upserted: [appointment("a", at10)] }, one.outcome);
    live.overlay({ upserted: [appointment("a", at11)] }, two.outcome);
    expect(seen.at(-1)).toEqual(["a 16"]);
    two.reject(new Error());
    await vi.waitFor(() => expect(seen.at(-1)).toEqual(["a 15"]));
    one.reject(new Error());
    await vi.waitFor(() => expect(seen.at(-1)).toEqual(["a 14"]));
  });

  test("that the topic never tells of ends five seconds after the answer", async ({ stage }) => {
    const { live, seen } = await begin(stage, [appointment("a", at9)]);
    vi.useFakeTimers();
    stage.onEnd(() => vi.useRealTimers());
    live.overlay({ removed: ["a"] }, Promise.resolve());
    await vi.advanceTimersByTimeAsync(4_999);
    expect(seen.at(-1)).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(seen.at(-1)).toEqual(["a 14"]);
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
