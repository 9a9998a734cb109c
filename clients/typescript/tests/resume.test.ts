// From where a topic is continued after a lost connection, and what its windows share. The steps are those of PROTOCOL.md.

import { describe, expect } from "vitest";
import { topics } from "../src/index.js";
import { test, watch } from "./cast.js";
import type { FakeServer } from "./fake.js";
import { appointment, at10, at9, change, fake, keys, mine, slot, snapshot } from "./items.js";

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
    const next = await server.receives("subscribe");
    // That of the first window comes while the second is asked for.
    server.says(snapshot(calendar, [early], "0"));
    server.says(snapshot(calendar, [late], "", true));
    server.says({ type: "reply", id: next.id, data: { topic: calendar, resumed: false } });
    server.says({ type: "ping", cursor: "0", data: {} });
    expect([one.get().fresh, two.get().fresh]).toEqual([false, false]);
    // In Bogotá it is five hours earlier.
    const over = appointment("over", "2026-12-08T04:45:00Z");
    const until = appointment("until", "2026-12-08T04:30:00Z");
    server.says(snapshot(calendar, [over, until], "1"));
    expect([keys(one.get().items), keys(two.get().items)]).toEqual([["until", "over"], ["over"]]);
    expect([one.get().fresh, two.get().fresh]).toEqual([true, true]);
  });

  test("the second begins anew when the connection is lost with the snapshot of the first", async ({ stage }) => {
    const { server, client } = await fake(stage);
    watch(client, first);
    const { id } = await server.receives("subscribe");
    watch(client, second);
    server.says({ type: "reply", id, data: { topic: calendar, resumed: false } });
    await server.receives("subscribe");
    server.says(snapshot(calendar, [early], "0"));
    server.closes(1006);
    expect((await server.subscribes(calendar)).data).toEqual({ topic: calendar, from: "2026-12-01", to: "2026-12-14" });
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
