// What this browser can find out about the server: whether it is ready, how long an answer takes, how far its clock is off.
import { cita, connection } from "../../app/session.svelte";

type ClusterState = "up" | "catching_up" | "down";
export interface Readiness {
  status: "starting" | "ready" | "degraded" | "draining";
  clusters: { users: ClusterState; appointments: ClusterState };
}

const EVERY_MS = 5_000;
/** Answers that are kept for the median. */
const KEPT = 20;

export class Measure {
  readiness = $state.raw<Readiness>();
  /** Nobody answers at all. */
  away = $state(false);
  checkedAt = $state<number>();
  /** Milliseconds of the latest answers, the newest last. */
  trips = $state.raw<readonly number[]>([]);
  /** Milliseconds that the server's clock is ahead of this one. */
  offset = $state<number>();

  /** To be made while a component is set up; measures until it goes. */
  constructor() {
    $effect(() => {
      // At once when the connection comes back, too.
      void connection.current.state;
      void this.check();
      const timer = setInterval(() => document.visibilityState === "visible" && void this.check(), EVERY_MS);
      return () => clearInterval(timer);
    });
  }

  check = async (): Promise<void> => {
    await Promise.all([this.#ready(), this.#trip()]);
    this.checkedAt = Date.now();
  };

  async #ready(): Promise<void> {
    try {
      const response = await fetch("/readyz", { cache: "no-store" });
      this.readiness = (await response.json()) as Readiness;
      this.away = false;
    } catch {
      this.away = true;
    }
  }

  /** An answer from memory, so that it is the way and the server that are measured, not the database. */
  async #trip(): Promise<void> {
    const start = performance.now();
    try {
      await cita.request("holidayCalendar.get", { id: "CO", year: new Date(cita.now()).getUTCFullYear() }, { offline: "fail" });
      this.trips = [...this.trips, performance.now() - start].slice(-KEPT);
      this.offset = cita.now() - Date.now();
    } catch {
      // That nothing came back is shown by the connection.
    }
  }
}

export function median(values: readonly number[]): number | undefined {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)];
}
