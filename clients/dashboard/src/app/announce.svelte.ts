// What screen readers are told, and the short notes (toasts) that everybody sees. App.svelte shows both.
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

class Notices {
  spoken = $state("");
  toasts = $state<Toast[]>([]);
  #next = 1;

  /** Says it to screen readers, politely. The same words twice are said twice. */
  announce(text: string): void {
    this.spoken = this.spoken === text ? `${text}\u00a0` : text;
  }

  toast(text: string, tone: Tone = "info", action?: Toast["action"]): void {
    const id = this.#next++;
    this.toasts = [...this.toasts, { id, text, tone, action }].slice(-MOST);
    setTimeout(() => this.dismiss(id), SHOWN_MS[tone]);
  }

  dismiss(id: number): void {
    this.toasts = this.toasts.filter((toast) => toast.id !== id);
  }
}

const notices = new Notices();
export const announce = (text: string): void => notices.announce(text);
export const toast = notices.toast.bind(notices);
export { notices };
