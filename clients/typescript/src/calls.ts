// Requests from the moment they are made until they are answered, over however many connections that takes.

import { pause } from "./backoff.js";
import { CitaError, ownError, refusal } from "./error.js";
import type { ClientFrame } from "./link.js";
import type { Limits, Outcome, Problem } from "./protocol.js";

export interface CallOptions {
  /**
   * The idempotency key of a mutation, where you keep one of your own; otherwise one is made for each call. 1 to 128
   * characters of printable ASCII, without blanks at its ends: a header has to carry it where no WebSocket passes.
   */
  key?: string;
  signal?: AbortSignal;
  /** Until the call gives up, repetitions included. */
  timeoutMs?: number;
  /** Without a connection: wait for one (the default), or fail at once. */
  offline?: "queue" | "fail";
}

export interface Answer {
  data: object;
  cursor?: string;
}

/** A request of somebody who waits: it outlives a connection. */
interface Call {
  frame: ClientFrame;
  /** An attempt was not answered, so what became of it is not known. */
  isLost: boolean;
  attempts: number;
  /** What the server said last, when it said to try again. */
  refusal?: CitaError;
  /** While it waits to be repeated. */
  timer?: ReturnType<typeof setTimeout>;
  settle(result: Answer | CitaError): void;
}

/** A request of this package: it ends with its connection, unanswered. */
interface Internal {
  answered(data: object): void;
  refused(error: CitaError): void;
}

/** A key is good over a WebSocket and over REST alike: a header takes no other characters, and no blank at its ends. */
const KEY = /^[!-~]([ -~]{0,126}[!-~])?$/;

/** A few places stay free for subscriptions. */
const RESERVED = 4;

export class Calls {
  readonly #maxQueued: number;
  /** Made and not sent on this connection, in order. */
  readonly #queue = new Set<Call>();
  readonly #sent = new Map<string, Call>();
  readonly #internal = new Map<string, Internal>();
  #id = 0;
  #send: ((frame: ClientFrame) => void) | undefined;
  #limits: Limits | undefined;

  constructor(maxQueued: number) {
    this.#maxQueued = maxQueued;
  }

  call(type: string, data: object, isMutation: boolean, timeoutMs: number, options: CallOptions): Promise<Answer> {
    const { key, signal, offline } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(ownError("aborted"));
      if (!this.#send && offline === "fail") return reject(ownError("offline"));
      if (!this.#send && this.#queue.size >= this.#maxQueued)
        return reject(ownError("offline", { detail: "Too many requests wait for a connection." }));
      // What the caller does to its object later is not sent under the same key.
      const frame: ClientFrame = { type, data: JSON.parse(JSON.stringify(data)) as object };
      if (isMutation) {
        frame.key = key ?? uniqueKey();
        if (!KEY.test(frame.key)) return reject(refusal("validation_failed", 422, "The key cannot stand in a header."));
      }
      const onAbort = () => call.settle(ownError("aborted", this.#outcome(call)));
      const onTimeout = () => {
        const outcome = this.#outcome(call);
        if (this.#isSent(call) || !call.refusal) return call.settle(ownError("timeout", outcome));
        call.settle(new CitaError({ ...call.refusal.problem, ...(call.isLost && outcome) }));
      };
      const timer = setTimeout(onTimeout, timeoutMs);
      signal?.addEventListener("abort", onAbort);
      const call: Call = {
        frame,
        isLost: false,
        attempts: 0,
        settle: (result) => {
          clearTimeout(timer);
          clearTimeout(call.timer);
          signal?.removeEventListener("abort", onAbort);
          this.#queue.delete(call);
          if (frame.id !== undefined) this.#sent.delete(frame.id);
          if (result instanceof CitaError) reject(result);
          else resolve(result);
          this.#pump();
        },
      };
      this.#queue.add(call);
      this.#pump();
    });
  }

  /** Sends a request of this package at once. There must be a connection. */
  internal(type: string, data: object, answered: Internal["answered"], refused: Internal["refused"]): void {
    const id = this.#nextId();
    this.#internal.set(id, { answered, refused });
    this.#send?.({ type, id, data });
  }

  /** There is a connection: what waits is sent, what was under way is sent again, in order. */
  up(send: (frame: ClientFrame) => void, limits: Limits): void {
    this.#send = send;
    this.#limits = limits;
    this.#pump();
  }

  down(): void {
    this.#send = undefined;
    this.#internal.clear();
    const waiting = [...this.#queue];
    this.#queue.clear();
    for (const call of this.#sent.values()) call.isLost = true;
    for (const call of [...this.#sent.values(), ...waiting]) this.#queue.add(call);
    this.#sent.clear();
  }

  /** There will be no connection, or it will be somebody else's. */
  fail(error: CitaError): void {
    const waiting = [...this.#queue];
    this.#queue.clear();
    for (const call of [...this.#sent.values(), ...waiting])
      call.settle(new CitaError({ ...error.problem, ...this.#outcome(call) }));
  }

  reply(id: string | undefined, answer: Answer): void {
    const internal = this.#takeInternal(id);
    if (internal) internal.answered(answer.data);
    else if (id !== undefined) this.#sent.get(id)?.settle(answer);
  }

  error(id: string, problem: Problem): void {
    const internal = this.#takeInternal(id);
    if (internal) return internal.refused(new CitaError(problem));
    const call = this.#sent.get(id);
    if (!call) return;
    // What became of an attempt without an answer is not said by the refusal of a later one.
    if (problem.outcome) problem.outcome = call.isLost ? "unknown" : problem.outcome;
    const refusal = new CitaError(problem);
    if (!problem.retryable) return call.settle(refusal);
    call.isLost ||= problem.outcome === "unknown";
    this.#sent.delete(id);
    call.refusal = refusal;
    call.timer = setTimeout(
      () => {
        delete call.timer;
        this.#pump();
      },
      (problem.retryAfterMs ?? 0) + pause(call.attempts),
    );
    this.#queue.add(call);
    this.#pump();
  }

  #isSent(call: Call): boolean {
    return this.#sent.has(call.frame.id ?? "");
  }

  /** What is known of a mutation without an answer. */
  #outcome(call: Call): { outcome?: Outcome } {
    if (call.frame.key === undefined) return {};
    return { outcome: call.isLost || this.#isSent(call) ? "unknown" : "not_applied" };
  }

  #takeInternal(id: string | undefined): Internal | undefined {
    if (id === undefined) return undefined;
    const internal = this.#internal.get(id);
    this.#internal.delete(id);
    return internal;
  }

  #nextId(): string {
    return String(++this.#id);
  }

  #pump(): void {
    for (const call of [...this.#queue]) {
      if (!this.#send || !this.#limits || this.#sent.size >= Math.max(1, this.#limits.maxInFlight - RESERVED)) return;
      if (call.timer !== undefined || !this.#queue.has(call)) continue;
      this.#queue.delete(call);
      call.frame.id = this.#nextId();
      if (bytes(JSON.stringify(call.frame)) > this.#limits.maxMessageBytes) {
        call.settle(refusal("message_too_large", 413, "The message is larger than allowed."));
        continue;
      }
      call.attempts++;
      this.#sent.set(call.frame.id, call);
      this.#send(call.frame);
    }
  }
}

/** In UTF-8; not every React Native has a `TextEncoder`. */
const bytes = (text: string): number => encodeURIComponent(text).replace(/%../g, "_").length;

/** A UUID where the platform makes one: pages without TLS and React Native do not have it. */
export function uniqueKey(): string {
  const { crypto } = globalThis;
  if (crypto?.randomUUID) return crypto.randomUUID();
  const part = () => Math.random().toString(36).slice(2);
  return part() + part() + Date.now().toString(36);
}
