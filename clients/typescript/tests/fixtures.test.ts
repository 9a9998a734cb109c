// The fixtures of the protocol, which the server reads in its tests as well: every one fits the generated types and goes
// through the client.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { afterEach, describe, expect, test, vi } from "vitest";
import { CitaError, createClient, itemKey, type Item, type Operations } from "../src/index.js";
import { routeOf } from "../src/rest.js";
import { FakeServer } from "./fake.js";

const here = dirname(fileURLToPath(import.meta.url));
const directory = join(here, "../../../protocol/fixtures");

interface Operation {
  name: string;
  kind: "read" | "mutation" | "connection";
  rest?: { method: string; path: string };
}

const { operations } = JSON.parse(readFileSync(join(here, "../../../protocol/schema/operations.json"), "utf8")) as {
  operations: Operation[];
};
const kindOf = (type: string) => operations.find(({ name }) => name === type)?.kind;

interface Frame {
  type: string;
  id?: string;
  key?: string;
  cursor?: string;
  data: Record<string, unknown>;
}

const fixtures = new Map(
  readdirSync(directory).map((file) => [
    file.replace(/\.json$/, ""),
    JSON.parse(readFileSync(join(directory, file), "utf8")) as Frame,
  ]),
);
const named = (pattern: RegExp): [string, Frame][] => [...fixtures].filter(([name]) => pattern.test(name));

/** The request that a reply belongs to. Where there is none of its whole name, as for `series.preview.skipped`, that of the operation. */
function requestOf(reply: string): Frame {
  const parts = reply.replace(/\.reply$/, "").split(".");
  for (let length = parts.length; length > 0; length--) {
    const request = fixtures.get(`${parts.slice(0, length).join(".")}.request`);
    if (request) return request;
  }
  throw new Error(`${reply} has no request`);
}

test("every fixture fits the generated types, without a field too many", () => {
  const lines = [...fixtures].map(([name, frame]) => {
    const type = name.endsWith(".request")
      ? `{ type: "${frame.type}"; id: string; ${kindOf(frame.type) === "mutation" ? "key: string;" : ""} data: Operations["${frame.type}"]["input"] }`
      : name.endsWith(".reply")
        ? `Omit<ReplyFrame, "data"> & { data: Operations["${requestOf(name).type}"]["output"] }`
        : frame.type === "pong"
          ? `{ type: "pong"; data: Empty }`
          : "ServerMessage";
    return `export const ${name.replace(/\W/g, "_")}: ${type} = ${JSON.stringify(frame)};`;
  });
  const file = join(here, "fixtures.generated.ts");
  const text = `import type { Empty, Operations, ReplyFrame, ServerMessage } from "../src/protocol.js";\n${lines.join("\n")}\n`;
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    types: [],
    exactOptionalPropertyTypes: true,
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (path) => path === file || fileExists(path);
  host.getSourceFile = (path, ...rest) =>
    path === file ? ts.createSourceFile(path, text, ts.ScriptTarget.ES2022) : getSourceFile(path, ...rest);
  const diagnostics = ts.getPreEmitDiagnostics(ts.createProgram([file], options, host));
  const told = diagnostics.map(
    ({ messageText, start, file: at }) =>
      `${at?.text.slice(start, (start ?? 0) + 60)}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`,
  );
  expect(told).toEqual([]);
  expect(lines.length).toBeGreaterThan(200);
});

test("the committed types are what the schemas generate", async () => {
  const committed = readFileSync(join(here, "../src/protocol.ts"), "utf8");
  const { generate } = await import("../generate.mjs");
  expect(await generate()).toBe(committed);
});

test("every operation of REST is where the schemas have it", () => {
  const routed = operations.flatMap(({ name, rest }) => (rest ? [{ name, rest }] : []));
  const found = routed.map(({ name }) => [name, ...routeOf(name)]);
  expect(found).toEqual(routed.map(({ name, rest }) => [name, rest.method, rest.path.slice("/v1".length)]));
  expect(found.length).toBeGreaterThan(50);
});

describe("a request", () => {
  test.each(named(/\.request$/))("%s is sent as it stands in its file", async (_, { type, key, data }) => {
    expect(kindOf(type) === "mutation").toBe(key !== undefined);
    if (kindOf(type) === "connection") return;
    const server = new FakeServer();
    const client = createClient("http://cita.example", { WebSocket: server.Socket, transport: "websocket" });
    client.connect();
    const answer = client.request(
      type as "me.get",
      data as Operations["me.get"]["input"],
      key === undefined ? {} : { key },
    );
    const sent = await server.receives(type);
    const { id, ...rest } = sent;
    expect(rest).toEqual({ type, data, ...(key !== undefined && { key }) });
    server.says({ type: "reply", id, data: { fine: true } });
    expect(await answer).toEqual({ fine: true });
    client.disconnect();
  });
});

describe("an answer", () => {
  afterEach(() => void vi.restoreAllMocks());

  test.each(named(/\.reply$/))("%s is what the caller gets", async (name, { data, cursor }) => {
    const { type, data: input } = requestOf(name);
    if (kindOf(type) === "connection") return;
    const server = new FakeServer();
    const client = createClient("http://cita.example", { WebSocket: server.Socket, transport: "websocket" });
    client.connect();
    const answer = client.request(type as "me.get", input as Operations["me.get"]["input"]);
    const { id } = await server.receives(type);
    server.says({ type: "reply", id, data, ...(cursor && { cursor }) });
    expect(await answer).toEqual(data);
    expect(client.lastCursor).toBe(cursor);
    client.disconnect();
  });

  test.each(named(/^error\./))("%s is a CitaError that tells all of it", async (_, { id, data }) => {
    const { topic, ...told } = data;
    // What may be tried again is, after a pause: here one that is longer than the time there is.
    vi.spyOn(Math, "random").mockReturnValue(1);
    const server = new FakeServer();
    const client = createClient("http://cita.example", {
      WebSocket: server.Socket,
      transport: "websocket",
      timeoutMs: 60,
    });
    client.connect();
    if (id === undefined) {
      // About a subscription, or a message that could not be read: not the answer to a request.
      if (topic === undefined) return client.disconnect();
      const live = client.topic({ name: String(topic), from: "", to: "" });
      live.subscribe(() => {});
      await server.subscribes(String(topic));
      server.says({ type: "error", data });
      expect(live.get()).toMatchObject({ state: "unsubscribed", error: told });
    } else {
      const answer = client.request("me.get", {});
      const request = await server.receives("me.get");
      server.says({ type: "error", id: request.id, data });
      const error: unknown = await answer.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(CitaError);
      expect(error).toMatchObject(told);
    }
    client.disconnect();
  });
});

describe("a live topic", () => {
  const pushed = named(/^(snapshot|change|reset)\b/);

  test.each(pushed)("%s goes through the store", async (_, frame) => {
    const {
      topic,
      items = [],
      upserted = [],
      timeZone,
    } = frame.data as { topic: string; items?: Item[]; upserted?: Item[]; timeZone?: string };
    const [, base = topic, date = ""] = /^(doctors\/[^/]+\/slots\/[^/]+)\/(.+)$/.exec(topic) ?? [];
    const server = new FakeServer();
    const client = createClient("http://cita.example", { WebSocket: server.Socket, transport: "websocket" });
    client.connect();
    const live = client.topic<Item>({ name: base, from: date, to: date });
    live.subscribe(() => {});
    await server.subscribes(base);
    if (frame.type !== "snapshot") server.says({ type: "snapshot", cursor: "c1", data: { topic, items: [] } });
    server.says(frame);
    const { items: shown, fresh, timeZone: zone, changed } = live.get();
    const expected = [...items, ...upserted];
    if (frame.data["more"] === true) expect(shown).toEqual([]);
    else expect(new Set(shown)).toEqual(new Set(expected));
    expect(fresh).toBe(frame.type !== "reset" && frame.data["more"] !== true);
    if (frame.type !== "reset" && fresh) expect(zone).toBe(timeZone);
    // What is removed was not there before.
    if (frame.type === "change" && upserted.length > 0)
      expect(changed).toEqual({ upserted: upserted.map(itemKey), removed: [] });
    client.disconnect();
  });
});
