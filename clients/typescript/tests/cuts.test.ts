// Whatever the network does to a session: what is asked for is done once, and the stores end as a fresh snapshot.

import { isDeepStrictEqual } from "node:util";
import { describe, expect } from "vitest";
import { topics, type Item, type LiveTopic, type Topic } from "../src/index.js";
import { inDays, register, startAt, test, until, watch, type Account, type Stage } from "./cast.js";
import { proxy, type Direction, type Proxy, type Rule } from "./proxy.js";

interface Outcome {
  proxy: Proxy;
  counts: Record<Direction, number>;
}

async function equalsSnapshot<T extends Item>(
  stage: Stage,
  live: LiveTopic<T>,
  topic: Topic<T>,
  as: Account,
): Promise<void> {
  const other = watch(await stage.connected({ as }), topic);
  await until(other, ({ fresh }) => fresh, "a fresh snapshot");
  await until(
    live,
    ({ items, fresh }) => fresh && isDeepStrictEqual(items, other.get().items),
    `what a snapshot has, ${JSON.stringify(other.get().items)}`,
  );
}

/** A patient who watches, books, moves, cancels and books again through the proxy, and a doctor who does things meanwhile. */
async function session(stage: Stage, rule: Rule): Promise<Outcome> {
  const [{ client, doctorId, service }, patient] = await Promise.all([stage.practice(), register("patient")]);
  const between = await proxy(stage, rule);
  const near = await stage.connected({ url: between.url, as: patient });
  const slots = topics.slots(doctorId, service.id, inDays(2), inDays(4));
  const mine = topics.myAppointments();
  const [liveSlots, liveMine] = [watch(near, slots), watch(near, mine)];
  const serviceId = service.id;
  const booked = await near.request("appointment.book", { doctorId, serviceId, start: startAt(2, 0) });
  const [moved, walkIn] = await Promise.all([
    near.request("appointment.reschedule", { id: booked.id, start: startAt(3, 1) }),
    client.request("appointment.book", { doctorId, serviceId, start: startAt(2, 4), walkIn: { name: "Alguien" } }),
  ]);
  await near.request("appointment.cancel", { id: moved.id });
  const [second] = await Promise.all([
    near.request("appointment.book", { doctorId, serviceId, start: startAt(4, 2) }),
    client.request("appointment.reschedule", { id: walkIn.id, start: startAt(4, 5) }),
  ]);
  await equalsSnapshot(stage, liveSlots, slots, patient);
  await equalsSnapshot(stage, liveMine, mine, patient);
  const { items } = await near.request("appointment.list", { patientId: patient.user.id });
  expect(items.map(({ id, status, start }) => [id, status, start]).sort()).toEqual(
    [
      [booked.id, "cancelled", startAt(3, 1)],
      [second.id, "booked", startAt(4, 2)],
    ].sort(),
  );
  const starts = liveSlots.get().items.map(({ start }) => start);
  expect(starts).not.toContain(startAt(4, 2));
  expect(starts).not.toContain(startAt(4, 5));
  expect(starts).toContain(startAt(2, 0));
  expect(starts).toContain(startAt(2, 4));
  const count = (direction: Direction) => between.passed.filter((passing) => passing.direction === direction).length;
  return { proxy: between, counts: { up: count("up"), down: count("down") } };
}

/** Frames of the session in each direction, at least; there are more once it has been cut. */
const FRAMES: Record<Direction, number> = { up: 7, down: 24 };
const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

test.concurrent(
  "without faults one connection is enough, and its frames are as many as are cut below",
  async ({ stage }) => {
    const { proxy: between, counts } = await session(stage, () => undefined);
    expect(between.lines).toHaveLength(1);
    expect(counts.up).toBeLessThanOrEqual(FRAMES.up);
    expect(counts.down).toBeLessThanOrEqual(FRAMES.down + 2);
  },
);

for (const direction of ["up", "down"] as const) {
  describe.concurrent(`the line is cut once, ${direction === "up" ? "from the client" : "from the server"}`, () => {
    test.for(numbers(FRAMES[direction]))("frame %i is lost with it", async (at, { stage }) => {
      await session(stage, ({ direction: way, index, line }) => {
        if (way !== direction || index !== at) return;
        line.cut();
      });
    });

    test.for(numbers(FRAMES[direction]))("frame %i is the last to arrive", async (at, { stage }) => {
      await session(stage, ({ direction: way, index, line }) => {
        if (way === direction && index === at) setImmediate(() => line.cut());
      });
    });
  });
}

describe.concurrent("a commit that concerns two dates of a range", () => {
  test.for([1, 2])("is told whole, whatever is cut between its frames (move %i)", async (move, { stage }) => {
    const told = new Map<string, number>();
    let moves = 0;
    const { proxy: between } = await session(stage, ({ direction, frame, connection, line }) => {
      const { topic } = frame.data;
      if (direction !== "down" || frame.type !== "change" || !String(topic).includes("/slots/")) return;
      const commit = `${connection} ${frame.cursor}`;
      told.set(commit, (told.get(commit) ?? 0) + 1);
      if (told.get(commit) === 2 && ++moves === move) line.cut();
    });
    expect(between.lines).toHaveLength(2);
  });
});

describe.concurrent("the line is cut again and again", () => {
  test.for(numbers(12))(
    "each of the first five connections ends after %i frames of the server",
    async (most, { stage }) => {
      const seen = new Map<number, number>();
      const { proxy: between } = await session(stage, ({ direction, connection, line }) => {
        const count = (seen.get(connection) ?? 0) + (direction === "down" ? 1 : 0);
        seen.set(connection, count);
        if (connection <= 5 && count > most) line.cut();
      });
      expect(between.lines.length).toBeGreaterThan(1);
    },
  );

  test.for(numbers(4))(
    "each of the first four connections ends after %i frames of the client",
    async (most, { stage }) => {
      const seen = new Map<number, number>();
      const { proxy: between } = await session(stage, ({ direction, connection, line }) => {
        const count = (seen.get(connection) ?? 0) + (direction === "up" ? 1 : 0);
        seen.set(connection, count);
        if (connection <= 4 && count > most) line.cut();
      });
      expect(between.lines.length).toBeGreaterThan(1);
    },
  );
});

describe.concurrent("the server closes", () => {
  test.for([
    [4000, 3],
    [4001, 8],
    [4002, 12],
    [4003, 16],
    [1001, 9],
    [1011, 14],
  ] as const)("with %i after frame %i: the session goes on over another connection", async ([code, at], { stage }) => {
    const { proxy: between } = await session(stage, ({ direction, index, line }) => {
      if (direction === "down" && index === at) line.close(code, "as a test has it");
    });
    expect(between.lines.length).toBeGreaterThan(1);
  });
});

describe.concurrent("frames take their time", () => {
  /** The same numbers each time, so that a failure can be repeated. */
  const random = (seed: number) => () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;

  test.for(numbers(4))("each some milliseconds, in order (%i)", async (seed, { stage }) => {
    const next = random(seed);
    await session(stage, () => next() * 40);
  });

  test.for(numbers(4))("answers are overtaken by changes and by each other (%i)", async (seed, { stage }) => {
    const next = random(seed);
    await session(stage, ({ frame }) =>
      frame.type === "reply" && !("resumed" in frame.data) ? { late: next() * 120 } : undefined,
    );
  });

  test.for(numbers(6))("and the line is cut in between (%i)", async (seed, { stage }) => {
    const next = random(seed);
    await session(stage, ({ frame, connection, line }) => {
      if (connection <= 4 && next() < 0.12) return line.cut();
      return frame.type === "reply" && !("resumed" in frame.data) ? { late: next() * 80 } : next() * 20;
    });
  });
});
