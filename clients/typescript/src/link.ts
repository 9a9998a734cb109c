// What carries frames to the server and back: a WebSocket, or requests and an event stream that look like one.

import type { ServerMessage } from "./protocol.js";

/** A frame to the server. */
export interface ClientFrame {
  type: string;
  id?: string;
  key?: string;
  data: object;
}

export interface Link {
  send(frame: ClientFrame): void;
  /** Nothing is told after it. */
  close(): void;
}

export interface LinkEvents {
  /** `topics`: those that a ping speaks of, where it is not all. */
  frame(frame: ServerMessage, topics?: ReadonlySet<string>): void;
  /** The end, told once: the code of the close frame, or 1006 where there was none. */
  closed(code: number, reason: string): void;
}

export type OpenLink = (token: string | null, events: LinkEvents) => Link;

/** A frame, unless the text is none: what cannot be read is ignored, as what one does not know. */
export function parse(text: unknown): ServerMessage | undefined {
  try {
    const frame: unknown = JSON.parse(String(text));
    if (frame !== null && typeof frame === "object" && "type" in frame && "data" in frame)
      return frame as ServerMessage;
  } catch {}
  return undefined;
}
