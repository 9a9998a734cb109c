// What screen readers are told, and the short notes (toasts) that everybody sees. App.svelte shows both.
import { untrack } from "svelte";

export type Tone = "info" | "ok" | "warn" | "danger";
export interface Toast {
  id: number;
  text: string;
  tone: Tone;
  action?: { label: string; run: () => void };
}

/** Longest first words win nobody anything: notes go by themselves, refusals stay a little longer. */
const SHOWN_MS: Record<Tone, number> = { info: 5_000, ok: 5_000, warn: 9_000, danger: 12_000 };
const MOST = 4;
/** What remains of notes that were pointed at, once they no longer are. */
const REST_MS = 3_000;

class Notices {
  spoken = $state("");
  toasts = $state<Toast[]>([]);
  /** Open dialogs, the topmost last. What lies outside of it is dead to hands and screen readers: the notes are shown within. */
  layers = $state.raw<readonly HTMLElement[]>([]);
  #next = 1;
  #paused = false;
  #due = new Set<number>();

  /** Says it to screen readers, politely. The same words twice are said twice. */
  announce(text: string): void {
    this.spoken = untrack(() => this.spoken) === text ? `${text}\u00a0` : text;
  }

  toast(text: string, tone: Tone = "info", action?: Toast["action"]): void {
    const id = this.#next++;
    this.toasts = [...untrack(() => this.toasts), { id, text, tone, action }].slice(-MOST);
    this.#expire(id, SHOWN_MS[tone]);
  }

  /** Under a pointer or with the focus, notes stay. */
  pause(paused: boolean): void {
    this.#paused = paused;
    if (paused) return;
    for (const id of this.#due) this.#expire(id, REST_MS);
    this.#due.clear();
  }

  /** A dialog has opened; to be called when it is gone. */
  within(dialog: HTMLElement): () => void {
    this.layers = [...untrack(() => this.layers), dialog];
    return () => void (this.layers = this.layers.filter((layer) => layer !== dialog));
  }

  #expire(id: number, after: number): void {
    setTimeout(() => (this.#paused ? this.#due.add(id) : this.dismiss(id)), after);
  }

  dismiss(id: number): void {
    this.toasts = this.toasts.filter((toast) => toast.id !== id);
  }
}

const notices = new Notices();
export const announce = (text: string): void => notices.announce(text);
export const toast = notices.toast.bind(notices);
export { notices };
