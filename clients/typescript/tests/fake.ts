// A server that says what a test has it say, for what the real one does not do on demand.

import type { SocketLike } from "../src/index.js";

interface Frame {
  type: string;
  id?: string;
  key?: string;
  data: Record<string, unknown>;
}

type Handlers = {
  onmessage: ((event: { data: string }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
};

const hello = {
  connectionId: "1",
  access: "anonymous",
  heartbeatMs: 20_000,
  limits: { maxMessageBytes: 65_536, messagesPerSecond: 1_000, maxSubscriptions: 512, maxInFlight: 32 },
  serverTime: "2026-11-24T16:05:02.118Z",
};

export class FakeServer {
  /** What it greets with. */
  hello: Record<string, unknown> = hello;
  /** Each connection that was opened, with the protocols that were asked for. */
  readonly connections: { protocols: string[]; close(code: number, reason?: string): void }[] = [];
  readonly received: Frame[] = [];
  /** Whether connections come about at all. */
  isThere = true;
  #line: Handlers | undefined;
  #waiting: { type: string; resolve(frame: Frame): void }[] = [];

  /** The class of its sockets. */
  readonly Socket = ((server: FakeServer) =>
    class implements SocketLike {
      onmessage: Handlers["onmessage"] = null;
      onclose: Handlers["onclose"] = null;
      onerror: ((event: never) => void) | null = null;

      constructor(_: string, protocols: string[]) {
        const close = (code: number, reason = ""): void => this.onclose?.({ code, reason });
        server.connections.push({ protocols, close });
        queueMicrotask(() => {
          if (!server.isThere) return close(1006);
          server.#line = this;
          server.says({ type: "hello", data: server.hello });
        });
      }

      send(text: string): void {
        server.#receive(JSON.parse(text) as Frame);
      }

      close(): void {
        if (server.#line === this) server.#line = undefined;
      }
    })(this);

  says(frame: object): void {
    this.#line?.onmessage?.({ data: JSON.stringify(frame) });
  }

  /** Ends the connection. */
  closes(code: number, reason = ""): void {
    const line = this.#line;
    this.#line = undefined;
    line?.onclose?.({ code, reason });
  }

  /** The next frame of this type. */
  receives(type: string): Promise<Frame> {
    const at = this.received.findIndex((frame) => frame.type === type);
    const [found] = at < 0 ? [] : this.received.splice(at, 1);
    if (found) return Promise.resolve(found);
    return new Promise((resolve) => this.#waiting.push({ type, resolve }));
  }

  /** Answers the next subscription to this topic. */
  async subscribes(topic: string, resumed = false): Promise<Frame> {
    const frame = await this.receives("subscribe");
    this.says({ type: "reply", id: frame.id, data: { topic, resumed } });
    return frame;
  }

  #receive(frame: Frame): void {
    const at = this.#waiting.findIndex(({ type }) => type === frame.type);
    const [waiting] = at < 0 ? [] : this.#waiting.splice(at, 1);
    if (waiting) waiting.resolve(frame);
    else this.received.push(frame);
  }
}
