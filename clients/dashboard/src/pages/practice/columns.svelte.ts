// Which columns of a wide grid are in view, with some beside them: only those are drawn.

/** So many more on each side, so that a scroll finds some drawn, and the next ones are drawn together. */
const MARGIN = 3;
const FIRST = 12;

export class ColumnsInView {
  first = $state(0);
  last = $state(FIRST);
  /** While something is dragged nothing may be taken away. */
  isHeld = false;
  readonly #count: () => number;

  constructor(count: () => number) {
    this.#count = count;
  }

  /** An attachment: looks when the grid is scrolled or resized. */
  watch = (root: HTMLElement): (() => void) => {
    let frame = 0;
    const look = (): void => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        this.#look(root);
      });
    };
    // Scrolling does not bubble, but it is captured.
    root.addEventListener("scroll", look, { capture: true, passive: true });
    const observer = new ResizeObserver(look);
    observer.observe(root);
    return () => {
      root.removeEventListener("scroll", look, { capture: true });
      observer.disconnect();
      cancelAnimationFrame(frame);
    };
  };

  #look(root: HTMLElement): void {
    const main = root.querySelector<HTMLElement>(".ec-main");
    const count = this.#count();
    if (!main || count === 0 || this.isHeld) return;
    const side = main.querySelector<HTMLElement>(".ec-sidebar")?.offsetWidth ?? 0;
    const width = (main.scrollWidth - side) / count;
    const from = Math.floor(main.scrollLeft / width);
    const to = Math.min(count - 1, Math.ceil((main.scrollLeft + main.clientWidth - side) / width));
    if (from >= this.first && to <= this.last) return;
    this.first = Math.max(0, from - MARGIN);
    this.last = to + MARGIN;
  }
}
