// A proxy in front of the server that does to connections what networks do: cut, delay, hold back, refuse.
//
// It knows frames: a test says after which of them the line is cut, or rewrites one, as a server in another state would send it.

import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { WebSocket, WebSocketServer } from "ws";
import { server, type Stage } from "./cast.js";

export type Direction = "up" | "down";

/** A frame on its way. `index` counts those of its direction over all connections, from 1. */
export interface Passing {
  direction: Direction;
  index: number;
  /** Which connection it is on, from 1. */
  connection: number;
  frame: { type: string; id?: string; key?: string; cursor?: string; data: Record<string, unknown> };
  line: Line;
}

/** `undefined`: as it is. `"lose"`: not at all. A number: so many milliseconds later, in order; `late`: and what follows may overtake it. */
export type Rule = (passing: Passing) => undefined | "lose" | number | { late: number } | void;

/** One connection through the proxy. */
export interface Line {
  /** As when the network goes: no close frame, on neither side. */
  cut(): void;
  /** As when the server closes. */
  close(code: number, reason: string): void;
  /** Something that the server might say. */
  say(frame: object): void;
  /** Nothing passes any more, and nobody is told. */
  freeze(): void;
}

export interface Proxy {
  url: string;
  rule: Rule;
  refusesUpgrades: boolean;
  /** REST requests and streams that are refused by closing the socket. */
  refusesRequests: boolean;
  readonly lines: Line[];
  readonly passed: Passing[];
  readonly requests: { method: string; url: string; headers: IncomingMessage["headers"] }[];
  /** Ends the event streams that are open. */
  cutStreams(): void;
  /** How many are open. */
  streams(): number;
}

export async function proxy(stage: Stage, rule: Rule = () => undefined): Promise<Proxy> {
  const sockets = new Set<Socket>();
  const streams = new Set<Socket>();
  const self: Proxy = {
    url: "",
    rule,
    refusesUpgrades: false,
    refusesRequests: false,
    lines: [],
    passed: [],
    requests: [],
    cutStreams() {
      for (const socket of streams) socket.destroy();
    },
    streams: () => streams.size,
  };
  const web = createServer((incoming, answer) => {
    self.requests.push({ method: incoming.method ?? "", url: incoming.url ?? "", headers: incoming.headers });
    if (self.refusesRequests) return incoming.socket.destroy();
    if (incoming.url?.startsWith("/v1/events")) {
      streams.add(incoming.socket);
      answer.on("close", () => streams.delete(incoming.socket));
    }
    forward(incoming, answer);
  });
  web.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  const upgrades = new WebSocketServer({ noServer: true, handleProtocols: () => "cita.v1" });
  web.on("upgrade", (incoming, socket: Socket, head) => {
    if (self.refusesUpgrades) return socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    upgrades.handleUpgrade(incoming, socket, head, (near) => join(self, near, socket, incoming));
  });
  await listening(web);
  self.url = `http://127.0.0.1:${(web.address() as AddressInfo).port}`;
  stage.onEnd(() => {
    for (const socket of sockets) socket.destroy();
    web.close();
  });
  return self;
}

const listening = (web: Server): Promise<void> => new Promise((resolve) => web.listen(0, "127.0.0.1", resolve));

function forward(incoming: IncomingMessage, answer: ServerResponse): void {
  const { method = "GET", url = "/", headers } = incoming;
  const onward = request(
    `${server}${url}`,
    { method, headers: { ...headers, host: new URL(server).host } },
    (reply) => {
      answer.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(answer);
      reply.on("error", () => answer.destroy());
    },
  );
  onward.on("error", () => answer.destroy());
  answer.on("close", () => onward.destroy());
  incoming.pipe(onward);
}

/** Joins a client's socket with one of its own to the server. */
function join(self: Proxy, near: WebSocket, socket: Socket, incoming: IncomingMessage): void {
  const protocols = String(incoming.headers["sec-websocket-protocol"] ?? "").split(/, */);
  const far = new WebSocket(`${server.replace(/^http/, "ws")}${incoming.url}`, protocols);
  const connection = self.lines.length + 1;
  let isFrozen = false;
  const line: Line = {
    cut() {
      isFrozen = true;
      // What came before is on its way already: it arrives.
      setImmediate(() => {
        socket.destroySoon();
        far.terminate();
      });
    },
    close(code, reason) {
      isFrozen = true;
      near.close(code, reason);
      far.terminate();
    },
    say: (frame) => near.send(JSON.stringify(frame)),
    freeze() {
      isFrozen = true;
    },
  };
  self.lines.push(line);
  const waiting: string[] = [];
  far.on("open", () => waiting.splice(0).forEach((text) => far.send(text)));
  const carry = (direction: Direction, send: (text: string) => void): ((message: unknown) => void) => {
    let last = Promise.resolve();
    return (message) => {
      if (isFrozen) return;
      const frame = JSON.parse(String(message)) as Passing["frame"];
      const index = self.passed.filter((other) => other.direction === direction).length + 1;
      const passing = { direction, index, connection, frame, line };
      self.passed.push(passing);
      const verdict = self.rule(passing);
      if (isFrozen || verdict === "lose") return;
      const text = JSON.stringify(frame);
      const pass = (): void => send(text);
      if (typeof verdict === "object") {
        setTimeout(pass, verdict.late);
        return;
      }
      if (typeof verdict !== "number") {
        // In order after what is held back.
        last = last.then(pass);
        return;
      }
      last = last.then(() => new Promise((resolve) => setTimeout(resolve, verdict))).then(pass);
    };
  };
  const sendUp = (text: string): void => {
    if (far.readyState === WebSocket.CONNECTING) waiting.push(text);
    else far.send(text, () => {});
  };
  near.on("message", carry("up", sendUp));
  far.on(
    "message",
    carry("down", (text) => near.send(text, () => {})),
  );
  near.on("close", () => far.close());
  far.on("close", (code, reason) => {
    if (isFrozen) return;
    if (code === 1005 || code === 1006) socket.destroy();
    else near.close(code, reason.toString());
  });
  near.on("error", () => far.terminate());
  far.on("error", () => socket.destroy());
}
