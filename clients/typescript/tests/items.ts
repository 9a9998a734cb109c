// Items and frames as a server would send them, and a client that is connected to a fake one.

import type { Appointment, Client, Item, LiveSlot } from "../src/index.js";
import type { Stage } from "./cast.js";
import { FakeServer } from "./fake.js";

export const slot = (start: string, more: Partial<LiveSlot> = {}): LiveSlot => ({
  start,
  end: start,
  status: "free",
  bookableFrom: start,
  bookableUntil: start,
  ...more,
});
export const appointment = (id: string, start: string, more: Partial<Appointment> = {}): Appointment => ({
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
export const keys = (items: readonly Item[]): string[] => items.map((item) => ("id" in item ? item.id : item.start));

export async function fake(stage: Stage): Promise<{ server: FakeServer; client: Client }> {
  const server = new FakeServer();
  const client = stage.client({ url: "http://cita.example", WebSocket: server.Socket, transport: "websocket" });
  client.connect();
  await client.ready();
  return { server, client };
}

export const snapshot = (topic: string, items: Item[], cursor: string, more?: true) => ({
  type: "snapshot",
  ...(more ? {} : { cursor }),
  data: { topic, items, ...(more && { more }) },
});
export const change = (topic: string, upserted: Item[], removed: string[], cursor: string) => ({
  type: "change",
  cursor,
  data: { topic, upserted, removed },
});
export const mine = "me/appointments";
export const [at9, at10, at11] = ["2026-12-01T14:00:00Z", "2026-12-01T15:00:00Z", "2026-12-01T16:00:00Z"] as const;
