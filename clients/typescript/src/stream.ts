// REST requests and event streams as a link, for networks that let no WebSocket through.
//
// Topics that are subscribed to in one go share a stream, since browsers keep few connections to a server. `EventSource`
// cannot send a token, so the streams are read with `fetch`.

import { CitaError, refusal } from "./error.js";
import type { ClientFrame, Link, LinkEvents, OpenLink } from "./link.js";
import type { Problem, ServerMessage, SubscribeRequest, User } from "./protocol.js";
import { isOf } from "./topics.js";
import { ask, authorization, problemOf, restRequest, type Fetch } from "./rest.js";

const HEARTBEAT_MS = 20_000;
/** Of the six connections that a browser keeps to a server, some stay free for requests. */
const MOST_STREAMS = 4;

type Subscription = SubscribeRequest & { id?: string };

interface Stream {
  topics: Map<string, Subscription>;
  abort: AbortController;
}

export function streamLink(address: string, fetch: Fetch): OpenLink {
  return (token, events) => new StreamLink(address, fetch, token, events);
}

class StreamLink implements Link {
  readonly #address: string;
  readonly #fetch: Fetch;
  readonly #token: string | null;
  readonly #events: LinkEvents;
  readonly #abort = new AbortController();
  readonly #streams = new Set<Stream>();
  #asked: Subscription[] = [];
  /** By a token, or by a cookie. */
  #isKnown: boolean;

  constructor(address: string, fetch: Fetch, token: string | null, events: LinkEvents) {
    this.#address = address;
    this.#fetch = fetch;
    this.#token = token;
    this.#isKnown = token !== null;
    this.#events = events;
    void this.#hello();
  }

  send(frame: ClientFrame): void {
    const { type, id } = frame;
    if (type === "subscribe") {
      if (this.#asked.length === 0) queueMicrotask(() => this.#open());
      this.#asked.push({ ...(frame.data as SubscribeRequest), ...(id !== undefined && { id }) });
    } else if (type === "unsubscribe") {
      const { topic } = frame.data as { topic: string };
      this.#leave(topic);
      this.#tell({ type: "reply", ...(id !== undefined && { id }), data: { topic } });
    } else if (type !== "pong") void this.#request(frame);
  }

  close(): void {
    this.#abort.abort();
    for (const stream of this.#streams) stream.abort.abort();
  }

  #tell(frame: ServerMessage, topics?: Iterable<string>): void {
    if (!this.#abort.signal.aborted) this.#events.frame(frame, topics && new Set(topics));
  }

  #closed(code: number, reason: string): void {
    if (this.#abort.signal.aborted) return;
    this.close();
    this.#events.closed(code, reason);
  }

  /** Who one is stands in the account. Nobody has none, which shows as well that the server is there. */
  async #hello(): Promise<void> {
    const hello = {
      connectionId: "",
      heartbeatMs: 0,
      limits: { maxMessageBytes: 65_536, messagesPerSecond: 1_000, maxSubscriptions: 512, maxInFlight: 8 },
    };
    const serverTime = (response?: Response) => new Date(response?.headers.get("date") ?? Date.now()).toISOString();
    try {
      const { data, response } = await this.#ask({ type: "me.get", data: {} });
      const { id, role, name } = data as User;
      this.#isKnown = true;
      this.#tell({
        type: "hello",
        data: { ...hello, access: "user", user: { id, role, name }, serverTime: serverTime(response) },
      });
    } catch (error) {
      if (error instanceof CitaError && error.status === 401 && !this.#isAboutToken(error)) {
        this.#tell({ type: "hello", data: { ...hello, access: "anonymous", serverTime: serverTime() } });
      } else this.#failed(error);
    }
  }

  #ask(frame: ClientFrame) {
    const [url, init] = restRequest(this.#address, this.#token, frame);
    return ask(this.#fetch, [url, { ...init, signal: this.#abort.signal }]);
  }

  async #request(frame: ClientFrame): Promise<void> {
    const id = frame.id === undefined ? {} : { id: frame.id };
    try {
      const { data, response } = await this.#ask(frame);
      const cursor = response.headers.get("cita-cursor");
      this.#tell({ type: "reply", ...id, data: data as Record<string, unknown>, ...(cursor !== null && { cursor }) });
    } catch (error) {
      if (!(error instanceof CitaError) || error.code === "offline" || this.#isAboutToken(error)) this.#failed(error);
      else this.#tell({ type: "error", ...id, data: error.problem });
    }
  }

  #isAboutToken(error: CitaError): boolean {
    return error.status === 401 && (this.#isKnown || error.code !== "unauthenticated");
  }

  #failed(error: unknown): void {
    if (!(error instanceof CitaError)) this.#closed(1006, String(error));
    else if (!this.#isAboutToken(error)) this.#closed(1006, error.message);
    else this.#closed(error.code === "session_revoked" ? 4101 : 4100, error.message);
  }

  #open(): void {
    const asked = this.#asked;
    this.#asked = [];
    // Who asks for another window of a topic gives up the one before.
    for (const { topic } of asked) this.#leave(topic);
    let groups = grouped(asked);
    if (this.#streams.size + groups.length > MOST_STREAMS) {
      // All over again, in as few streams as there are windows: each topic begins with a snapshot.
      const topics = [...this.#streams].flatMap((stream) => [...stream.topics.values()]);
      for (const { topic } of topics) this.#leave(topic);
      const all = [...topics, ...asked].map(({ after: _, ...subscription }) => subscription);
      groups = grouped(all.filter(({ from }) => from));
      // Topics without dates fit into any stream.
      groups.push([...(groups.pop() ?? []), ...all.filter(({ from }) => !from)]);
    }
    for (const group of groups.splice(0, groups.length - MOST_STREAMS)) this.#deny(group, tooMany());
    for (const group of groups) void this.#read(group);
  }

  #leave(topic: string): void {
    for (const stream of this.#streams) {
      if (!stream.topics.delete(topic) || stream.topics.size > 0) continue;
      this.#streams.delete(stream);
      stream.abort.abort();
    }
  }

  async #read(group: Subscription[]): Promise<void> {
    const stream: Stream = {
      topics: new Map(group.map((subscription) => [subscription.topic, subscription])),
      abort: new AbortController(),
    };
    this.#streams.add(stream);
    const { from, to, after } = group[0] ?? { topic: "" };
    const query = new URLSearchParams(group.map(({ topic }) => ["topic", topic]));
    for (const [name, value] of Object.entries({ from, to })) if (value) query.set(name, value);
    const headers = {
      ...authorization(this.#token),
      Accept: "text/event-stream",
      ...(after && { "Last-Event-ID": after }),
    };
    /** Nothing heard for so long is the end. */
    const within = <T>(heard: Promise<T>): Promise<T> => {
      const silence = setTimeout(() => stream.abort.abort(), 2 * HEARTBEAT_MS + 3_000);
      return heard.finally(() => clearTimeout(silence));
    };
    try {
      const response = await within(
        this.#fetch(`${this.#address}/v1/events?${query}`, { headers, signal: stream.abort.signal }),
      );
      if (!response.ok || !response.body) return this.#refused(stream, group, await problemOf(response));
      for (const subscription of group) {
        const { id, topic } = subscription;
        // What becomes of it later answers nobody.
        delete subscription.id;
        // The server says no more than this; where it cannot continue, a reset follows.
        if (id !== undefined) this.#tell({ type: "reply", id, data: { topic, resumed: after !== undefined } });
      }
      for await (const frame of events(response.body, within)) {
        const topic = "topic" in frame.data ? String(frame.data.topic) : undefined;
        // Of a topic that was left, the stream may go on to tell as long as it has others.
        if (topic === undefined || [...stream.topics.keys()].some((name) => isOf(topic, name)))
          this.#tell(frame, stream.topics.keys());
        if (frame.type === "error" && frame.data.topic !== undefined) stream.topics.delete(frame.data.topic);
      }
    } catch {}
    if (!this.#streams.delete(stream)) return;
    if (stream.topics.size > 0) this.#closed(1006, "the event stream has ended");
  }

  /** One topic that is refused keeps all of a stream from being opened: the others are asked for without it, if it is named. */
  #refused(stream: Stream, asked: Subscription[], problem: Problem): void {
    if (!this.#streams.delete(stream)) return;
    const error = new CitaError(problem);
    if (this.#isAboutToken(error)) return this.#failed(error);
    const group = [...stream.topics.values()];
    // One that was asked for: each time there are fewer. It may have been left meanwhile.
    const isNamed = asked.some(({ topic }) => topic === problem.topic);
    const others = group.filter(({ topic }) => isNamed && topic !== problem.topic);
    this.#deny(
      group.filter((subscription) => !others.includes(subscription)),
      error,
    );
    if (others.length > 0) void this.#read(others);
  }

  #deny(group: Subscription[], error: CitaError): void {
    for (const { id, topic } of group)
      this.#tell({ type: "error", ...(id !== undefined && { id }), data: { ...error.problem, topic } });
  }
}

/** A stream has one window and one cursor. */
function grouped(asked: Subscription[]): Subscription[][] {
  const groups = new Map<string, Subscription[]>();
  for (const subscription of asked) {
    const { from, to, after } = subscription;
    const group = [from, to, after].join();
    groups.set(group, [...(groups.get(group) ?? []), subscription]);
  }
  return [...groups.values()];
}

/** Not to be tried again: it would put another one out. */
const tooMany = (): CitaError => refusal("too_many_subscriptions", 429, "Too many windows without WebSocket.");

/** The frames of an event stream: each has `event:`, `data:` and perhaps `id:`, its cursor. */
async function* events(
  body: ReadableStream<Uint8Array>,
  within: <T>(heard: Promise<T>) => Promise<T>,
): AsyncGenerator<ServerMessage> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await within(reader.read());
    if (done) return;
    const blocks = (text + decoder.decode(value, { stream: true })).split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const fields = Object.fromEntries(
        block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]),
      );
      const { event, id, data } = fields;
      if (event && data) yield { type: event, data: JSON.parse(data), ...(id && { cursor: id }) } as ServerMessage;
    }
  }
}
