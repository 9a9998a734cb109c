// Who takes part in a test: a doctor with hours and a service, patients, and clients that are closed when it ends.

import { inject, test as plain } from "vitest";
import { WebSocket } from "ws";
import {
  CitaError,
  createClient,
  type Client,
  type ClientOptions,
  type Item,
  type LiveTopic,
  type Readable,
  type Service,
  type Topic,
  type User,
} from "../src/index.js";

export const server: string = inject("server");
export const password = "una frase larga y tranquila";

export interface Account {
  user: Pick<User, "id" | "name">;
  email: string;
  token: string;
  refreshToken: string;
}

/** Resolves with the first value that fits. */
export function until<T>(readable: Readable<T>, fits: (value: T) => boolean, what = "a value"): Promise<T> {
  return new Promise((resolve, reject) => {
    let leave: (() => void) | undefined;
    let isOver = false;
    const over = (): void => {
      isOver = true;
      clearTimeout(timer);
      leave?.();
    };
    const timer = setTimeout(() => {
      over();
      reject(new Error(`${what} did not come; the last was ${JSON.stringify(readable.get())?.slice(0, 2_000)}`));
    }, 40_000);
    leave = readable.subscribe((value) => {
      if (isOver || !fits(value)) return;
      over();
      resolve(value);
    });
    if (isOver) leave();
  });
}

type Options = ClientOptions & { url?: string };

/** What a test opens, and what is closed when it ends. */
export class Stage {
  readonly #closing: (() => void)[] = [];

  onEnd(close: () => void): void {
    this.#closing.push(close);
  }

  end(): void {
    for (const close of this.#closing.reverse()) close();
  }

  client(options: Options = {}): Client {
    const { url = server, ...rest } = options;
    const made = createClient(url, { WebSocket, timeoutMs: 30_000, ...rest });
    this.onEnd(() => made.disconnect());
    return made;
  }

  /** A client that is connected. */
  async connected(options: Options & { as?: Account } = {}): Promise<Client> {
    const { as, ...rest } = options;
    const made = this.client({ ...(as && { getToken: () => as.token }), ...rest });
    made.connect();
    await made.ready({ timeoutMs: 30_000 });
    return made;
  }

  /** A doctor who can be booked every day from eight to twelve, half an hour each. */
  async practice(): Promise<Practice> {
    const account = await register("doctor");
    const own = await this.connected({ as: account });
    const doctorId = account.user.id;
    const service = await own.request("service.create", { doctorId, name: "Consulta", durationMinutes: 30 });
    const weekly = weekdays.map((weekday) => ({ weekday, from: "08:00", to: "12:00" }));
    await own.request("availability.set", { doctorId, timeZone: "America/Bogota", weekly, overrides: [] });
    return { account, doctorId, service, client: own };
  }
}

export const test = plain.extend<{ stage: Stage }>({
  // Vitest wants to see which fixtures this one needs: none.
  stage: async ({}, use) => {
    const stage = new Stage();
    await use(stage);
    stage.end();
  },
});

/** Stays subscribed until its client is closed. */
export function watch<T extends Item>(client: Client, topic: Topic<T>): LiveTopic<T> {
  const live = client.topic(topic);
  live.subscribe(() => {});
  return live;
}

let people = 0;

export async function register(role: "patient" | "doctor"): Promise<Account> {
  const email = `${role}-${process.pid}-${Date.now()}-${people++}@example.com`;
  const asking = createClient(server, { WebSocket, timeoutMs: 30_000 });
  const ask = async (): Promise<Account> => {
    const {
      user,
      accessToken,
      refreshToken = "",
    } = await asking.request("auth.register", {
      email,
      password,
      name: `Somebody ${people}`,
      role,
      timeZone: "America/Bogota",
    });
    return { user, email, token: accessToken, refreshToken };
  };
  // Of many who register at once, some are told to wait.
  for (let attempt = 0; ; attempt++) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof CitaError) || !error.retryable || attempt > 30) throw error;
      await new Promise((resolve) => setTimeout(resolve, error.retryAfterMs ?? 200));
    }
  }
}

export interface Practice {
  account: Account;
  doctorId: string;
  service: Service;
  client: Client;
}

const weekdays = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] as const;

/** The local date in so many days. */
export const inDays = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);

/** A start of the practice's hours: Bogotá is five hours behind, all year. */
export const startAt = (days: number, half: number): string =>
  `${inDays(days)}T${String(13 + Math.floor(half / 2)).padStart(2, "0")}:${half % 2 ? "30" : "00"}:00Z`;
