// The one error of this package: a problem as the server tells it, or one of three that the client finds itself.

import type { ErrorCode as ServerCode, FieldError, Occurrence, Outcome, Problem, Slot, TimeZone } from "./protocol.js";

/** The codes of the server's registry, and those of the client. */
export type ErrorCode = ServerCode | "timeout" | "aborted" | "offline";

/** What an error tells: a problem of the server, or one of the same form. */
export type ProblemLike = Omit<Problem, "code"> & { code: ErrorCode };

/** Decide by `code`; of a code that you do not know, by `status`, which is 0 for those of the client. */
export class CitaError extends Error {
  declare readonly code: ErrorCode;
  declare readonly status: number;
  declare readonly title: string;
  declare readonly retryable: boolean;
  declare readonly detail?: string;
  declare readonly errors?: FieldError[];
  declare readonly alternatives?: Slot[];
  declare readonly occurrences?: Occurrence[];
  declare readonly timeZone?: TimeZone;
  declare readonly rule?: string;
  declare readonly retryAfterMs?: number;
  /** Of a mutation that was not answered: `unknown` means that it may have been carried out. */
  declare readonly outcome?: Outcome;

  constructor(problem: ProblemLike) {
    super(problem.detail ?? problem.title);
    this.name = "CitaError";
    const { topic: _, ...told } = problem;
    Object.assign(this, told);
  }

  /** As the server would tell it. */
  get problem(): Problem {
    const { name: _, ...problem } = this;
    return problem as unknown as Problem;
  }
}

/** A refusal in the server's place. */
export const refusal = (code: ServerCode, status: number, title: string): CitaError =>
  new CitaError({ code, status, title, retryable: false });

const titles = {
  timeout: "There was no answer in time.",
  aborted: "The request was given up.",
  offline: "There is no connection.",
};

/** An error that the client finds itself. */
export function ownError(code: keyof typeof titles, more: Partial<ProblemLike> = {}): CitaError {
  return new CitaError({ code, status: 0, title: titles[code], retryable: code !== "aborted", ...more });
}
