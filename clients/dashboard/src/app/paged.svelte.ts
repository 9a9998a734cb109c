// Lists without a live topic, page by page: read when asked to, and put right after one's own actions.
interface Page<T> {
  items: readonly T[];
  nextPageToken?: string;
}
type Fetch<T> = (pageToken?: string) => Promise<Page<T>>;

export class Paged<T extends { id: string }> {
  items = $state.raw<readonly T[]>([]);
  error = $state.raw<unknown>();
  loading = $state(false);
  /** Whether there was an answer yet. */
  loaded = $state(false);
  #next = $state<string>();
  #fetch: Fetch<T>;
  /** Which reading the latest is: an answer to an older one comes too late. */
  #turn = 0;
  /** Which list it is, of those that were shown one after the other. */
  #list = 0;

  constructor(fetch: Fetch<T>) {
    this.#fetch = fetch;
  }

  get hasMore(): boolean {
    return this.#next !== undefined;
  }

  /** From the beginning. What is shown stays until there is an answer. */
  reload = (): Promise<void> => this.#read(undefined, () => []);

  /** The next page. */
  more = (): Promise<void> => this.#read(this.#next, () => this.items);

  /** Forgets what is shown: the next reading is of something else. */
  clear(): void {
    this.#list++;
    this.items = [];
    this.loaded = false;
  }

  replace(item: T): void {
    this.items = this.items.map((other) => (other.id === item.id ? item : other));
  }

  /** Shows what an item becomes at once, `undefined` off the list, and takes it back when it is refused. */
  async expect<R>(id: string, becomes: ((item: T) => T) | undefined, outcome: Promise<R>): Promise<R> {
    const before = this.items;
    const list = this.#list;
    const old = before.find((item) => item.id === id);
    if (becomes) this.items = before.map((item) => (item === old ? becomes(item) : item));
    else this.items = before.filter((item) => item !== old);
    try {
      return await outcome;
    } catch (error) {
      if (old && list === this.#list) this.items = putBack(this.items, old, before, (item) => item.id);
      throw error;
    }
  }

  async #read(pageToken: string | undefined, before: () => readonly T[]): Promise<void> {
    const turn = ++this.#turn;
    this.loading = true;
    this.error = undefined;
    try {
      const page = await this.#fetch(pageToken);
      if (turn !== this.#turn) return;
      this.items = [...before(), ...page.items];
      this.#next = page.nextPageToken;
      this.loaded = true;
    } catch (error) {
      if (turn === this.#turn) this.error = error;
    } finally {
      if (turn === this.#turn) this.loading = false;
    }
  }
}

/** The list with one item as it was `before`, at its place: whatever else has changed since then stays. */
export function putBack<T>(items: readonly T[], item: T, before: readonly T[], idOf: (item: T) => string): T[] {
  const id = idOf(item);
  if (items.some((other) => idOf(other) === id)) return items.map((other) => (idOf(other) === id ? item : other));
  // After the nearest one before it that is still there.
  const earlier = new Set(before.slice(0, before.indexOf(item)).map(idOf));
  const at = items.findLastIndex((other) => earlier.has(idOf(other))) + 1;
  return items.toSpliced(at, 0, item);
}

/** All pages of a list, ten at most. */
export async function every<T>(fetch: Fetch<T>): Promise<T[]> {
  const all: T[] = [];
  let next: string | undefined;
  for (let pages = 0; pages < 10; pages++) {
    const page = await fetch(next);
    all.push(...page.items);
    next = page.nextPageToken;
    if (!next) break;
  }
  return all;
}
