// What a form goes through: it is sent, it waits, and what is wrong with it is shown.
import { mistakes } from "./errors";

export class Attempt {
  busy = $state(false);
  error = $state.raw<unknown>();
  /** What is wrong with which field, by JSON pointer. */
  readonly wrong = $derived(mistakes(this.error));
  /** What is wrong, and not with a field. */
  readonly problem = $derived(Object.keys(this.wrong).length === 0 ? this.error : undefined);

  /** For `onsubmit` and `onclick`. */
  readonly to =
    (run: () => Promise<unknown>) =>
    async (event: Event): Promise<void> => {
      event.preventDefault();
      this.busy = true;
      this.error = undefined;
      try {
        await run();
      } catch (refused) {
        this.error = refused;
      } finally {
        this.busy = false;
      }
    };
}
