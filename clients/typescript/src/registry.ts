// Which topics are looked at: one view for each topic and window, one wire for each topic.

import type { Calls } from "./calls.js";
import { CitaError } from "./error.js";
import { View } from "./live.js";
import type { Item, ServerMessage } from "./protocol.js";
import type { Topic } from "./topics.js";
import { Wire, type Host, type Viewer, type Window } from "./wire.js";

const keyOf = (name: string, { from, to }: Window): string => [name, from, to].join();

export class Registry implements Host {
  isUp = false;
  readonly #calls: Calls;
  readonly #wires = new Map<string, Wire>();
  /** By name and window. The type of a view's items is that of its name. */
  readonly #views = new Map<string, unknown>();

  constructor(calls: Calls) {
    this.#calls = calls;
  }

  view<T extends Item>(topic: Topic<T>): View<T> {
    const key = keyOf(topic.name, topic);
    const found = this.#views.get(key) as View<T> | undefined;
    if (found) return found;
    const view = new View<T>(topic, this.#wires.get(topic.name) ?? new Wire(topic.name, this), this);
    this.#views.set(key, view);
    return view;
  }

  internal: Host["internal"] = (...request) => this.#calls.internal(...request);

  /** Somebody listens to a view. Its wire may have been released, and another have taken its place. */
  attach(view: Viewer, own: Wire): Wire {
    const wire = this.#wires.get(own.name) ?? own;
    this.#wires.set(wire.name, wire);
    // The newest is the last.
    wire.viewers.delete(view);
    wire.viewers.add(view);
    if (wire.error) wire.up();
    else wire.sync();
    return wire;
  }

  /** Nobody has listened to a view for a while. What it goes on with shows nothing. */
  detach(view: Viewer, wire: Wire): Wire {
    const key = keyOf(wire.name, view.window);
    if (this.#views.get(key) === view) this.#views.delete(key);
    wire.viewers.delete(view);
    wire.sync();
    return new Wire(wire.name, this);
  }

  released(wire: Wire): void {
    wire.clear();
    if (this.#wires.get(wire.name) === wire) this.#wires.delete(wire.name);
  }

  up(): void {
    this.isUp = true;
    for (const wire of this.#wires.values()) wire.up();
  }

  down(): void {
    this.isUp = false;
    for (const wire of this.#wires.values()) wire.down();
  }

  /** What one user was told is not shown to another. */
  forget(): void {
    for (const wire of this.#wires.values()) if (wire.isPrivate) wire.clear();
  }

  /** `only`: the topics that a ping speaks of, where it is not all. */
  frame(frame: ServerMessage, only: ReadonlySet<string> | undefined): void {
    if (frame.type === "ping") {
      for (const wire of this.#wires.values()) if (!only || only.has(wire.name)) wire.frame(frame);
    } else if ("topic" in frame.data && typeof frame.data.topic === "string") {
      for (const wire of this.#wires.values()) {
        if (!wire.has(frame.data.topic)) continue;
        if (frame.type === "error") wire.ended(new CitaError(frame.data));
        else wire.frame(frame);
      }
    }
  }
}
