// What happens around an action of a person: refusals are told, in words.
import { explain } from "./errors";
import { toast, type Toast } from "./announce.svelte";

/** Runs it; a failure becomes a note, and `undefined` comes back. */
export async function act<T>(run: () => Promise<T>, options: { done?: string; undo?: Toast["action"] } = {}): Promise<T | undefined> {
  try {
    const result = await run();
    if (options.done) toast(options.done, "ok", options.undo);
    return result;
  } catch (error) {
    toast(explain(error), "danger");
    return undefined;
  }
}
