// A value that can be read and watched: what Svelte calls a store, and React an external store.

/** Calls `run` at once, and then with each new value, until the returned function is called. */
export interface Readable<T> {
  get(): T;
  subscribe(run: (value: T) => void): () => void;
}

export class Store<T> implements Readable<T> {
  #value: T;
  readonly #listeners = new Set<{ run: (value: T) => void }>();

  constructor(value: T) {
    this.#value = value;
  }

  get = (): T => this.#value;

  subscribe = (run: (value: T) => void): (() => void) => {
    const listener = { run };
    this.#listeners.add(listener);
    tell(listener, this.#value);
    return () => this.#listeners.delete(listener);
  };

  set(value: T): void {
    this.#value = value;
    for (const listener of [...this.#listeners]) {
      // One that left, or was told something newer, while the others were told.
      if (this.#value === value && this.#listeners.has(listener)) tell(listener, value);
    }
  }
}

/** A listener that throws does not keep others from being told: its error surfaces by itself. */
function tell<T>({ run }: { run: (value: T) => void }, value: T): void {
  try {
    run(value);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
