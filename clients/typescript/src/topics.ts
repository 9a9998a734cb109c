// The live topics of the server, by name, with the type of their items.

import type { Appointment, Item, LiveDoctor, LiveSlot, Review, Session, WaitlistEntry } from "./protocol.js";

/** What to watch. Those of equal name and dates are the same topic. */
export interface Topic<T extends Item> {
  readonly name: string;
  /** Local dates of the doctor, both included; empty where a topic has none. */
  readonly from: string;
  readonly to: string;
  /** Only for the type: there is no such value. */
  readonly item?: T;
}

const topic = <T extends Item>(name: string, from = "", to = ""): Topic<T> => ({ name, from, to });

export const topics = {
  /** Free and held times of a service, at most 62 dates, none more than two days past. */
  slots: (doctorId: string, serviceId: string, from: string, to: string) =>
    topic<LiveSlot>(`doctors/${doctorId}/slots/${serviceId}`, from, to),
  /** One item: the public profile with services and rating. */
  doctor: (doctorId: string) => topic<LiveDoctor>(`doctors/${doctorId}`),
  /** Published reviews. */
  reviews: (doctorId: string) => topic<Review>(`doctors/${doctorId}/reviews`),
  /** A doctor's calendar, at most 92 dates: for that doctor, their staff and admins. */
  appointments: (doctorId: string, from: string, to: string) =>
    topic<Appointment>(`doctors/${doctorId}/appointments`, from, to),
  /** Who waits for a doctor: for that doctor, their staff and admins. */
  waitlist: (doctorId: string) => topic<WaitlistEntry>(`doctors/${doctorId}/waitlist`),
  myAppointments: () => topic<Appointment>("me/appointments"),
  myWaitlist: () => topic<WaitlistEntry>("me/waitlist"),
  mySessions: () => topic<Session>("me/sessions"),
};

/** Whether frames of `topic` belong to what was subscribed to as `name`: a range of slots is a topic for each of its dates. */
export const isOf = (topic: string, name: string): boolean =>
  topic === name || (name.includes("/slots/") && topic.startsWith(`${name}/`));

/** What names an item within its topic: its id, or the start of a slot. */
export const itemKey = (item: Item): string => ("id" in item ? item.id : item.start);
