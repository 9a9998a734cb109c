// How long to wait before the next attempt.

const FIRST_MS = 500;
const LONGEST_MS = 20_000;

/** Full jitter: anything up to a bound that doubles with each attempt. All clients of a node that stopped come back spread out. */
export const pause = (attempt: number): number => Math.random() * Math.min(LONGEST_MS, FIRST_MS * 2 ** attempt);
