// Writes src/protocol.ts: the types of the wire and the table of routes, from the schemas in protocol/schema.
//
// `npm run generate` runs it. The same schemas give the same bytes: the file is committed, and a stale one is a failure.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { compile } from "json-schema-to-typescript";

const schemas = new URL("../../protocol/schema/", import.meta.url);
const target = new URL("./src/protocol.ts", import.meta.url);

const read = (name) => JSON.parse(readFileSync(new URL(`${name}.json`, schemas), "utf8"));

/** What the generator needs: a title for each definition, references that it follows, objects as the server may extend them. */
function plain(schema) {
  if (Array.isArray(schema)) return schema.map(plain);
  if (schema === null || typeof schema !== "object") return schema;
  // A description beside a reference would make a second type of the same shape.
  if (schema.$ref !== undefined) return { $ref: schema.$ref.replace("#/$defs/", "#/definitions/") };
  const entries = Object.entries(schema).filter(
    ([name]) => name !== "additionalProperties" || schema.properties === undefined,
  );
  return Object.fromEntries(entries.map(([name, value]) => [name, plain(value)]));
}

function definitions(...documents) {
  const all = {};
  for (const { $defs } of documents) {
    for (const [name, schema] of Object.entries($defs)) all[name] ??= { ...plain(schema), title: name };
  }
  // What nobody reads further is any JSON object.
  all.Empty = { type: "object", title: "Empty", description: "An object without fields.", additionalProperties: false };
  return Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
}

const typeName = ({ $ref }) => $ref.replace("#/$defs/", "");

function operationTypes(operations) {
  const lines = operations.map(({ name, kind, rest, input, output, summary }) => {
    const route = rest ? `; method: "${rest.method}"; path: "${rest.path}"` : "";
    return `  /** ${summary} */\n  "${name}": { input: ${typeName(input)}; output: ${typeName(output)}; kind: "${kind}"${route} };`;
  });
  return `/** Every operation: what goes in, what comes out, and where it is in REST. */\nexport interface Operations {\n${lines.join("\n")}\n}\n`;
}

const kebab = (name) => name.replace(/[A-Z]/g, "-$&").toLowerCase();

/** An operation of the table: its room, its verb, and where it is. The client knows its kind by these. */
function routed({ name, kind, rest: { method, path } }) {
  const [room, verb] = name.split(".");
  const expected = room === "auth" ? "connection" : method === "GET" ? "read" : "mutation";
  if (kind !== expected) throw new Error(`${name} is a ${kind}, and its route says that it is a ${expected}`);
  return { room, verb, method, path: path.slice("/v1".length) };
}

/** What a room has to say of its operations if its place is `place`: nothing of what is usual. */
function roomAt(place, operations) {
  const entries = operations.map(({ verb, method, path }) => {
    const isBelow = `${path}/`.startsWith(`${place}/`);
    return [verb, `${method} ${isBelow ? `~${path.slice(place.length)}` : path}`];
  });
  const unusual = entries.filter(([verb, route]) => route !== `POST ~/${kebab(verb)}`);
  if (place !== `/${operations[0].room}`) unusual.unshift(['""', place]);
  return unusual.map(([name, value]) => `${name}: "${value}"`).join(", ");
}

/** The place of a room is the one with which it has least to say: the table is part of every bundle. */
function routeTable(operations) {
  const all = operations.filter(({ rest }) => rest).map(routed);
  const lines = [...new Set(all.map(({ room }) => room))].map((name) => {
    const own = all.filter(({ room }) => room === name);
    const places = own.flatMap(({ path }) => path.split("/").map((_, at, parts) => parts.slice(0, at + 1).join("/")));
    const written = places.filter(Boolean).map((place) => roomAt(place, own));
    const [shortest] = written.sort((a, b) => a.length - b.length);
    return shortest && `  ${name}: { ${shortest} },\n`;
  });
  return `/**
 * Where operations are below /v1, by room and verb, the two parts of their name. \`""\` is the room's own place, where it is not
 * \`/room\`, and \`~\` stands for it. A verb that is not listed is \`POST ~/verb\`, in kebab-case.
 */
export const routes: Record<string, Record<string, string>> = {\n${lines.join("")}};\n`;
}

/** The whole file. */
export async function generate() {
  const [operations, client, server, problem] = ["operations", "client", "server", "problem"].map(read);
  const all = definitions(operations, client, server, problem);
  all.ServerMessage = { title: "ServerMessage", description: server.description, oneOf: plain(server.oneOf) };
  // Only what a root refers to is written, so one refers to all; it is no type of the wire itself and is taken out again.
  const properties = Object.fromEntries(Object.keys(all).map((name) => [name, { $ref: `#/definitions/${name}` }]));
  const root = { title: "Root", type: "object", properties, definitions: all };
  const written = await compile(root, "Root", {
    additionalProperties: false,
    bannerComment: "",
    style: { printWidth: 120 },
  });
  const types = written.replace(/export interface Root \{[^}]*\}\n/, "");
  const banner = "// @generated by clients/typescript/generate.mjs from protocol/schema: do not edit.\n";
  return [banner, types, operationTypes(operations.operations), routeTable(operations.operations)].join("\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(target, await generate());
