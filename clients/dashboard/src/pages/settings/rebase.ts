// Two devices at one form: what was typed here stays, what was left alone follows what the other one saved.

/** `draft` as if it had begun with `now` instead of `base`. */
export function rebase<T extends object>(draft: T, base: T, now: T): T {
  const typed = (Object.keys(now) as (keyof T)[]).filter((field) => !same(draft[field], base[field]));
  return { ...now, ...Object.fromEntries(typed.map((field) => [field, draft[field]])) };
}

export const same = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);
