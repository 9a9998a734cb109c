// Names of the people that lists name by id. Accounts are read once, by pages; who is beyond them stays an id.
import { SvelteMap } from "svelte/reactivity";
import { every } from "../../app/paged.svelte";
import { cita } from "../../app/session.svelte";

class Directory {
  #names = new SvelteMap<string, string>();
  #asked: Promise<void> | undefined;

  /** `undefined` until it is known. */
  name(id: string | undefined): string | undefined {
    return id === undefined ? undefined : this.#names.get(id);
  }

  /** Reads the accounts. Without them lists show ids; the next page tries again. */
  load(): void {
    this.#asked ??= every((pageToken) => cita.request("admin.listUsers", { pageSize: 100, ...(pageToken && { pageToken }) })).then(
      (users) => {
        for (const { id, name } of users) this.#names.set(id, name);
      },
      () => (this.#asked = undefined),
    );
  }

  /** Somebody who was met elsewhere, or is new. */
  met(people: readonly { id: string; name: string }[]): void {
    for (const { id, name } of people) this.#names.set(id, name);
  }
}

export const directory = new Directory();
