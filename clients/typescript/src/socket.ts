// The WebSocket as a link.

import { parse, type OpenLink } from "./link.js";

/** The part of `WebSocket` that is used: the browser's, React Native's, that of Node 22, and of the package ws. */
export interface SocketLike {
  send(text: string): void;
  close(code?: number, reason?: string): void;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: ((event: never) => void) | null;
}

export type SocketClass = new (url: string, protocols: string[]) => SocketLike;

export function socketLink(address: string, Socket: SocketClass): OpenLink {
  return (token, events) => {
    const protocols = token === null ? ["cita.v1"] : ["cita.v1", `bearer.${token}`];
    const socket = new Socket(`${address.replace(/^http/, "ws")}/v1/ws`, protocols);
    socket.onmessage = ({ data }) => {
      const frame = parse(data);
      if (frame) events.frame(frame);
    };
    socket.onclose = ({ code, reason }) => events.closed(code, reason);
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
