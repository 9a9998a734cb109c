// What the compiler knows of operations, topics and errors. `npm run check` is what fails here; nothing of it is run.

import { expectTypeOf, test } from "vitest";
import {
  createClient,
  topics,
  type Appointment,
  type CitaError,
  type LiveSlot,
  type LiveTopic,
  type Review,
  type Slot,
} from "../src/index.js";

const client = createClient("http://cita.example");

test("input and output of a request are those of its operation", () => {
  const book = () =>
    client.request("appointment.book", { doctorId: "d", serviceId: "s", start: "2026-12-01T14:00:00Z" });
  expectTypeOf(book).returns.resolves.toEqualTypeOf<Appointment>();
  // @ts-expect-error: a start is missing
  const missing = () => client.request("appointment.book", { doctorId: "d", serviceId: "s" });
  // @ts-expect-error: there is no such field
  const unknown = () => client.request("doctor.get", { id: "d", name: "" });
  // @ts-expect-error: there is no such operation
  const none = () => client.request("appointment.steal", {});
  // @ts-expect-error: the connection does this by itself
  const own = () => client.request("subscribe", { topic: "me/appointments" });
  for (const request of [missing, unknown, none, own]) expectTypeOf(request).toBeFunction();
});

test("a topic knows its items", () => {
  expectTypeOf(client.topic(topics.slots("d", "s", "2026-12-01", "2026-12-02"))).toEqualTypeOf<LiveTopic<LiveSlot>>();
  expectTypeOf(client.topic(topics.myAppointments())).toEqualTypeOf<LiveTopic<Appointment>>();
  expectTypeOf(client.topic(topics.reviews("d")).get().items).toEqualTypeOf<readonly Review[]>();
});

test("an error has the codes of the registry and those of the client", () => {
  expectTypeOf<"slot_taken" | "timeout" | "aborted" | "offline">().toExtend<CitaError["code"]>();
  expectTypeOf<"no_such_code">().not.toExtend<CitaError["code"]>();
  expectTypeOf<CitaError["alternatives"]>().toEqualTypeOf<Slot[] | undefined>();
});
