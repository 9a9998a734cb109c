// @cita/client: what a program may import.

export { createClient, type Client, type ClientOptions, type Input, type Output, type Requestable } from "./client.js";
export type { CallOptions } from "./calls.js";
export type { Connection, GetToken, Transport } from "./connection.js";
export { CitaError, type ErrorCode } from "./error.js";
export type { LiveTopic, Overlay, TopicState } from "./live.js";
export type { Readable } from "./readable.js";
export type { Fetch } from "./rest.js";
export type { SocketClass, SocketLike } from "./socket.js";
export { itemKey, topics, type Topic } from "./topics.js";
export type * from "./protocol.js";
