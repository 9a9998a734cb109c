// What a page shows before it is so: taken back, confirmed, or overtaken by the truth.

import { describe, expect, vi } from "vitest";
import { topics, type Appointment } from "../src/index.js";
import { test, watch, type Stage } from "./cast.js";
import { appointment, at10, at11, at9, change, fake, mine, slot, snapshot } from "./items.js";

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

  test("does not take an answer of another kind for its item", async ({ stage }) => {
    const { server, client } = await fake(stage);
    const slots = watch(client, topics.slots("d", "s", "2026-12-01", "2026-12-01"));
    await server.subscribes("doctors/d/slots/s");
    server.says(snapshot("doctors/d/slots/s/2026-12-01", [], "1"));
    const cancelled = promise();
    slots.overlay({ upserted: [slot(at9)] }, cancelled.outcome);
    cancelled.resolve(appointment("a", at9));
    const { live } = await begin(stage, []);
    const series = promise();
    live.overlay({ upserted: [appointment("a name of the page", at9)] }, series.outcome);
    series.resolve({ id: "s", rev: 1 });
    await Promise.all([cancelled.outcome, series.outcome]);
    expect(slots.get().items).toEqual([slot(at9)]);
    expect(live.get().items).toEqual([appointment("a name of the page", at9)]);
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
