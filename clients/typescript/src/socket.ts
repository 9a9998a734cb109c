// The WebSocket as a link.

import { parse, type OpenLink } from "./link.js";

/** The part of `WebSocket` that is used: the browser's, React Native's, that of Node 22, and of the package ws. */
export interface SocketLike {
  send(text: string): void;
  close(code?: number, reason?: string): void;
  // Each platform has types of its own for the events; of these only what the listeners below name is read.
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
}

export type SocketClass = new (url: string, protocols: string[]) => SocketLike;

export function socketLink(address: string, Socket: SocketClass): OpenLink {
  return (token, events) => {
    const protocols = token === null ? ["cita.v1"] : ["cita.v1", `bearer.${token}`];
    const socket = new Socket(`${address.replace(/^http/, "ws")}/v1/ws`, protocols);
    socket.onmessage = ({ data }: { data: unknown }) => {
      const frame = parse(data);
      if (frame) events.frame(frame);
    };
    socket.onclose = ({ code, reason }: { code: number; reason: string }) => events.closed(code, reason);
    // Without a listener, ws throws; the close that follows says what there is to know.
    socket.onerror = () => {};
    return {
      send: (frame) => socket.send(JSON.stringify(frame)),
      close() {
        socket.onmessage = socket.onclose = null;
        socket.close(1000);
      },
    };
  };
}
